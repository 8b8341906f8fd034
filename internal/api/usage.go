package api

import (
	"context"
	"mime"
	"reflect"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenantry/tenantry/internal/fault"
	"github.com/tenantry/tenantry/internal/identity"
	"github.com/tenantry/tenantry/internal/patch"
	"github.com/tenantry/tenantry/internal/usage"
)

const (
	maxBatch     = 256 << 10 // bytes
	maxEvents    = 100
	eventsType   = "application/cloudevents-batch+json"
	eventsDetail = "must be an array of 1 to %d events"
)

// UsageCounter is what CreateUsageEvents needs of a usage.Service.
type UsageCounter interface {
	Count(ctx context.Context, c identity.Caller, drafts []usage.Draft) ([]usage.Result, error)
}

// CreateUsageEvents serves POST /usage-events, which takes a batch of CloudEvents
// 1.0 (JSON batch format). It answers 200 with what became of each event: one that
// is wrong does not keep the others from being counted.
func CreateUsageEvents(service UsageCounter) Operation {
	return Operation{
		Name:  "CreateUsageEvents",
		Allow: identity.Services(identity.UsageWrite),
		Handle: func(ctx context.Context, r *Request) (*Response, error) {
			drafts, err := decodeEvents(r)
			if err != nil {
				return nil, err
			}
			results, err := service.Count(ctx, r.Caller, drafts)
			if err != nil {
				return nil, err
			}
			return OK(newBatchView(drafts, results)), nil
		},
	}
}

// decodeEvents reads the events of a batch. What is wrong with one of them is part
// of its draft.
func decodeEvents(r *Request) ([]usage.Draft, error) {
	mediaType, params, err := mime.ParseMediaType(r.Header("content-type"))
	if err != nil || mediaType != jsonType && mediaType != eventsType || !isUTF8(params["charset"]) {
		return nil, fault.New(fault.MediaType, "send the body with Content-Type: %s or %s, in UTF-8", eventsType, jsonType)
	}
	if len(r.Body) > maxBatch {
		return nil, fault.New(fault.TooLarge, "the body is %d bytes, and at most %d are read", len(r.Body), maxBatch)
	}
	if err := checkJSON(r.Body); err != nil {
		return nil, err
	}
	var events []jsontext.Value
	if err := json.Unmarshal(r.Body, &events); err != nil || len(events) < 1 || len(events) > maxEvents {
		var f fault.Fields
		f.Add("#", eventsDetail, maxEvents)
		return nil, f.Err()
	}
	var drafts []usage.Draft
	for _, e := range events {
		drafts = append(drafts, decodeEvent(e))
	}
	return drafts, nil
}

// cloudEvent is the members of an event that are read. Others are extensions
// (CloudEvents 1.0, Extension Context Attributes), or data that is not counted.
type cloudEvent struct {
	SpecVersion patch.Field[string]            `json:"specversion"`
	Source      patch.Field[string]            `json:"source"`
	ID          patch.Field[string]            `json:"id"`
	Type        patch.Field[usage.Type]        `json:"type"`
	Subject     patch.Field[identity.TenantID] `json:"subject"`
	Time        patch.Field[string]            `json:"time"`
	Data        eventData                      `json:"data"`
}

type eventData struct {
	Quantity patch.Field[int64] `json:"quantity"`
}

func decodeEvent(text jsontext.Value) usage.Draft {
	var e cloudEvent
	d := decoder{lenient: true}
	d.object(text, "", reflect.ValueOf(&e).Elem())
	return usage.Draft{
		SpecVersion: e.SpecVersion, Source: e.Source, ID: e.ID, Type: e.Type, Subject: e.Subject, Time: e.Time,
		Quantity: e.Data.Quantity, Unread: slices.Concat(d.faults, d.refused),
	}
}

// batchView is what became of a batch.
type batchView struct {
	Accepted   int          `json:"accepted"`
	Duplicates int          `json:"duplicates"`
	Rejected   int          `json:"rejected"`
	Results    []resultView `json:"results"`
}

type resultView struct {
	Source string       `json:"source"`
	ID     string       `json:"id"`
	Status usage.Status `json:"status"`
	Detail *string      `json:"detail"`
}

func newBatchView(drafts []usage.Draft, results []usage.Result) batchView {
	var v batchView
	for i, result := range results {
		switch result.Status {
		case usage.Accepted:
			v.Accepted++
		case usage.Duplicate:
			v.Duplicates++
		case usage.Rejected:
			v.Rejected++
		}
		shown := resultView{Source: drafts[i].Source.Value, ID: drafts[i].ID.Value, Status: result.Status}
		if result.Detail != "" {
			shown.Detail = &result.Detail
		}
		v.Results = append(v.Results, shown)
	}
	return v
}

// usageView is what a tenant uses, as clients see it.
type usageView struct {
	Month       usage.Month `json:"month"`
	Calls       int64       `json:"calls"`
	CallMinutes int64       `json:"call_minutes"`
	Messages    int64       `json:"messages"`
	Contacts    int64       `json:"contacts"`
	Agents      int64       `json:"agents"`
	Cents       int64       `json:"cents"`
}

// tenantUsageView is a tenant in a list, with what it uses.
type tenantUsageView struct {
	tenantSummaryView
	Usage usageView `json:"usage"`
}

func newUsageView(u usage.Usage) usageView {
	return usageView{
		Month: u.Month, Calls: u.Calls, CallMinutes: u.CallMinutes, Messages: u.Messages,
		Contacts: max(0, u.Contacts), Agents: u.Agents, Cents: u.Cents(),
	}
}
