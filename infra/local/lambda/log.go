package lambda

import (
	"encoding/json"
	"time"
)

// A platformLine is what Lambda itself writes into a function's log.
type platformLine struct {
	Time   string `json:"time"`
	Type   string `json:"type"`
	Record any    `json:"record"`
}

type startRecord struct {
	RequestID string `json:"requestId"`
	Version   string `json:"version"`
}

type reportRecord struct {
	RequestID string        `json:"requestId"`
	Metrics   reportMetrics `json:"metrics"`
}

type reportMetrics struct {
	DurationMS      float64 `json:"durationMs"`
	MemorySizeMB    int     `json:"memorySizeMB"`
	MaxMemoryUsedMB int     `json:"maxMemoryUsedMB,omitempty"`
	InitDurationMS  float64 `json:"initDurationMs,omitempty"`
}

// logStart notes that a process has inv.
func (fn *function) logStart(inv *invocation) {
	fn.writeLog("platform.start", startRecord{inv.id, "$LATEST"})
}

// logReport notes how inv went. Init is how long the process took to start if
// inv is its first event, 0 if it is not.
func (fn *function) logReport(inv *invocation, init time.Duration, pid int) {
	if fn.log == nil {
		return
	}
	fn.writeLog("platform.report", reportRecord{inv.id, reportMetrics{
		DurationMS:      milliseconds(time.Since(inv.taken)),
		MemorySizeMB:    fn.MemoryMB,
		MaxMemoryUsedMB: maxMemoryMB(pid),
		InitDurationMS:  milliseconds(init),
	}})
}

func milliseconds(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

func (fn *function) writeLog(kind string, record any) {
	if fn.log == nil {
		return
	}
	line, err := json.Marshal(platformLine{time.Now().UTC().Format("2006-01-02T15:04:05.000Z"), kind, record})
	if err != nil {
		panic(err) // structs of strings and numbers
	}
	_, _ = fn.log.Write(append(line, '\n')) // a log that cannot be written must not fail the function
}
