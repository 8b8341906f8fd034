package lambda

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/uuid"
)

// ServeHTTP serves the Invoke API:
// POST /2015-03-31/functions/{name or ARN}/invocations.
func (r *Runtime) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	w.Header().Set("X-Amzn-RequestId", uuid.NewString())
	name, ok := strings.CutPrefix(req.URL.Path, "/2015-03-31/functions/")
	name, ok2 := strings.CutSuffix(name, "/invocations")
	if !ok || !ok2 || req.Method != http.MethodPost {
		writeError(w, http.StatusNotFound, "UnknownOperationException", "Only Invoke is served here")
		return
	}
	payload, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxRequest))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		writeError(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException",
			fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", maxRequest))
		return
	}
	if err != nil {
		return // the caller is gone
	}
	if len(payload) == 0 {
		payload = []byte("{}")
	}
	if !json.Valid(payload) {
		writeError(w, http.StatusBadRequest, "InvalidRequestContentException", "Could not parse request body into json")
		return
	}
	switch kind := req.Header.Get("X-Amz-Invocation-Type"); kind {
	case "", "RequestResponse":
		r.serveInvoke(w, req, name, payload)
	case "Event":
		r.serveEvent(w, name, payload)
	case "DryRun":
		r.serveDryRun(w, name)
	default:
		writeError(w, http.StatusBadRequest, "InvalidParameterValueException", "Unknown invocation type "+kind)
	}
}

func (r *Runtime) serveInvoke(w http.ResponseWriter, req *http.Request, name string, payload []byte) {
	res, err := r.Invoke(req.Context(), name, payload)
	if err != nil {
		r.writeInvokeError(w, name, err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Amzn-RequestId", res.RequestID)
	h.Set("X-Amz-Executed-Version", "$LATEST")
	if res.FunctionError != "" {
		h.Set("X-Amz-Function-Error", res.FunctionError)
	}
	_, _ = w.Write(res.Payload) // a caller that is gone misses it
}

func (r *Runtime) serveEvent(w http.ResponseWriter, name string, payload []byte) {
	id, err := r.InvokeAsync(name, payload)
	if err != nil {
		r.writeInvokeError(w, name, err)
		return
	}
	w.Header().Set("X-Amzn-RequestId", id)
	w.WriteHeader(http.StatusAccepted)
}

func (r *Runtime) serveDryRun(w http.ResponseWriter, name string) {
	if _, err := r.find(name); err != nil {
		r.writeInvokeError(w, name, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// writeInvokeError answers an invocation that did not take place.
func (r *Runtime) writeInvokeError(w http.ResponseWriter, name string, err error) {
	switch {
	case errors.Is(err, ErrNotFound):
		writeError(w, http.StatusNotFound, "ResourceNotFoundException", "Function not found: "+r.arn(name))
	case errors.Is(err, ErrTooLarge):
		writeError(w, http.StatusRequestEntityTooLarge, "RequestTooLargeException",
			fmt.Sprintf("Request must be smaller than %d bytes for the InvokeFunction operation", maxAsyncRequest))
	default:
		writeError(w, http.StatusInternalServerError, "ServiceException", err.Error())
	}
}

// writeError answers as Lambda's API does when it refuses.
func writeError(w http.ResponseWriter, status int, kind, message string) {
	origin := "User"
	if status >= http.StatusInternalServerError {
		origin = "Service"
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Amzn-ErrorType", kind)
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"Type": origin, "Message": message}) // the caller has the status
}
