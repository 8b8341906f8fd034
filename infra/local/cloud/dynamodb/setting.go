package dynamodb

import (
	"context"
	"time"
)

// timeToLive is the setting that dynalite does not have. Nothing is deleted by
// it: on AWS too an expired item may stay for days.
type timeToLive struct {
	AttributeName string
	Enabled       bool
}

// updateTimeToLive is UpdateTimeToLive.
func (l *Layer) updateTimeToLive(_ context.Context, _ string, body []byte) (*reply, error) {
	var in struct {
		TableName               string
		TimeToLiveSpecification *timeToLive
	}
	if err := decode(body, &in); err != nil {
		return nil, failure(validation, "%v", err)
	}
	if in.TimeToLiveSpecification == nil || in.TimeToLiveSpecification.AttributeName == "" {
		return nil, failure(validation, "1 validation error detected: Value null at 'timeToLiveSpecification' failed to satisfy constraint: Member must not be null")
	}
	t, err := l.tables.existing(in.TableName)
	if err != nil {
		return nil, err
	}
	var before timeToLive
	l.tables.change(func() {
		if before = t.expiry; before.Enabled != in.TimeToLiveSpecification.Enabled {
			t.expiry = *in.TimeToLiveSpecification
		}
	})
	switch {
	case before.Enabled && in.TimeToLiveSpecification.Enabled:
		return nil, failure(validation, "TimeToLive is already enabled")
	case !before.Enabled && !in.TimeToLiveSpecification.Enabled:
		return nil, failure(validation, "TimeToLive is already disabled")
	}
	return success(map[string]any{"TimeToLiveSpecification": in.TimeToLiveSpecification})
}

// describeTimeToLive is DescribeTimeToLive.
func (l *Layer) describeTimeToLive(_ context.Context, _ string, body []byte) (*reply, error) {
	var in tableRequest
	if err := decode(body, &in); err != nil {
		return nil, failure(validation, "%v", err)
	}
	t, _ := l.tables.get(in.TableName)
	if t == nil {
		return nil, errNoTable(in.TableName)
	}
	var expiry timeToLive
	l.tables.change(func() { expiry = t.expiry })
	description := map[string]string{"TimeToLiveStatus": "DISABLED"}
	if expiry.Enabled {
		description = map[string]string{"TimeToLiveStatus": "ENABLED", "AttributeName": expiry.AttributeName}
	}
	return success(map[string]any{"TimeToLiveDescription": description})
}

// continuousBackups is a setting that is kept and does nothing.
type continuousBackups struct {
	since time.Time // zero while point-in-time recovery is off
	days  int
}

// updateContinuousBackups is UpdateContinuousBackups.
func (l *Layer) updateContinuousBackups(_ context.Context, _ string, body []byte) (*reply, error) {
	var in struct {
		TableName                        string
		PointInTimeRecoverySpecification *struct {
			PointInTimeRecoveryEnabled bool
			RecoveryPeriodInDays       int
		}
	}
	if err := decode(body, &in); err != nil {
		return nil, failure(validation, "%v", err)
	}
	if in.PointInTimeRecoverySpecification == nil {
		return nil, failure(validation, "1 validation error detected: Value null at 'pointInTimeRecoverySpecification' failed to satisfy constraint: Member must not be null")
	}
	days := in.PointInTimeRecoverySpecification.RecoveryPeriodInDays
	if days == 0 {
		days = 35
	}
	if days < 1 || days > 35 {
		return nil, failure(validation, "RecoveryPeriodInDays must be between 1 and 35")
	}
	t, state := l.tables.get(in.TableName)
	switch state {
	case absent, deleting:
		return nil, failure(tableNotFound, "Table not found: %s", in.TableName)
	case creating:
		return nil, failure(unavailableBackups, "Backups are being enabled for the table: %s. Please retry later", in.TableName)
	case active:
	}
	l.tables.change(func() {
		switch {
		case !in.PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled:
			t.backups = continuousBackups{}
		case t.backups.since.IsZero():
			t.backups = continuousBackups{time.Now(), days}
		default:
			t.backups.days = days
		}
	})
	return l.backupsReply(t)
}

// describeContinuousBackups is DescribeContinuousBackups.
func (l *Layer) describeContinuousBackups(_ context.Context, _ string, body []byte) (*reply, error) {
	var in tableRequest
	if err := decode(body, &in); err != nil {
		return nil, failure(validation, "%v", err)
	}
	t, state := l.tables.get(in.TableName)
	if state == absent || state == deleting {
		return nil, failure(tableNotFound, "Table not found: %s", in.TableName)
	}
	return l.backupsReply(t)
}

func (l *Layer) backupsReply(t *table) (*reply, error) {
	var backups continuousBackups
	l.tables.change(func() { backups = t.backups })
	recovery := map[string]any{"PointInTimeRecoveryStatus": "DISABLED"}
	if !backups.since.IsZero() {
		recovery = map[string]any{
			"PointInTimeRecoveryStatus":  "ENABLED",
			"RecoveryPeriodInDays":       backups.days,
			"EarliestRestorableDateTime": backups.since.Unix(),
			"LatestRestorableDateTime":   time.Now().Unix(),
		}
	}
	return success(map[string]any{"ContinuousBackupsDescription": map[string]any{
		"ContinuousBackupsStatus":        "ENABLED",
		"PointInTimeRecoveryDescription": recovery,
	}})
}
