package gateway

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// A response is a function's answer in format 2.0.
type response struct {
	StatusCode      int               `json:"statusCode"`
	Headers         map[string]string `json:"headers"`
	Cookies         []string          `json:"cookies"`
	Body            string            `json:"body"`
	IsBase64Encoded bool              `json:"isBase64Encoded"`
}

// respond writes what a function answered. It fails, and has written nothing, if
// that is not a response. Withhold says to leave out CORS headers.
func respond(w http.ResponseWriter, payload []byte, withhold bool) error {
	res, err := parse(payload)
	if err != nil {
		return fmt.Errorf("not a response: %w", err)
	}
	body := []byte(res.Body)
	if res.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(res.Body); err != nil {
			return fmt.Errorf("not a response: the body: %w", err)
		}
	}
	h := w.Header()
	for name, value := range res.Headers {
		lower := strings.ToLower(name)
		if dropped[lower] || lower == "content-length" || withhold && strings.HasPrefix(lower, "access-control-") {
			continue
		}
		h.Set(name, value)
	}
	for _, cookie := range res.Cookies {
		h.Add("Set-Cookie", cookie)
	}
	if res.StatusCode == http.StatusNoContent || res.StatusCode == http.StatusNotModified {
		w.WriteHeader(res.StatusCode)
		return nil
	}
	if h.Get("Content-Type") == "" {
		h.Set("Content-Type", "text/plain; charset=utf-8")
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(res.StatusCode)
	_, _ = w.Write(body) // a client that is gone misses it
	return nil
}

// parse reads a function's answer. JSON without a statusCode is the body of a
// 200; a string there stands for its text.
func parse(payload []byte) (response, error) {
	inferred := response{StatusCode: http.StatusOK, Headers: map[string]string{"Content-Type": "application/json"}}
	value := jsontext.Value(payload)
	switch {
	case !value.IsValid(jsontext.AllowDuplicateNames(true)):
		return response{}, fmt.Errorf("not JSON: %.100q", payload)
	case value.Kind() == '"':
		err := json.Unmarshal(payload, &inferred.Body)
		return inferred, err
	case value.Kind() == '{':
		var formatted struct {
			StatusCode jsontext.Value `json:"statusCode"`
		}
		if err := json.Unmarshal(payload, &formatted, jsontext.AllowDuplicateNames(true)); err != nil {
			return response{}, err
		}
		if formatted.StatusCode != nil {
			return parseFormatted(payload)
		}
	}
	inferred.Body = string(payload)
	return inferred, nil
}

func parseFormatted(payload []byte) (response, error) {
	var res response
	if err := json.Unmarshal(payload, &res, jsontext.AllowDuplicateNames(true)); err != nil {
		return response{}, err
	}
	if res.StatusCode < 200 || res.StatusCode > 599 {
		return response{}, fmt.Errorf("the status is %d", res.StatusCode)
	}
	return res, nil
}

// refuse answers in the gateway's own words.
func refuse(w http.ResponseWriter, status int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"message":"`+message+`"}`) // a client that is gone misses it
}
