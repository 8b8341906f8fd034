package api

import (
	"bytes"
	"errors"
	"io"
	"mime"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"github.com/tenantry/tenantry/internal/fault"
)

const (
	maxBody    = 64 << 10
	maxNesting = 16
)

// Decode reads the JSON body of r as a T, a struct. It fails with
// fault.Malformed, fault.TooLarge or fault.MediaType if the body cannot be read
// at all. The members that are of the wrong type, and so were not read, are
// among the faults that it returns: add to them the rules that T breaks, so that
// the caller learns of all faults at once.
func Decode[T any](r *Request) (T, fault.Fields, error) {
	var v T
	if err := r.checkBody(); err != nil {
		return v, nil, err
	}
	if jsontext.Value(r.Body).Kind() != '{' {
		return v, nil, fault.Fields{{Pointer: "#", Detail: "must be an object"}}.Err()
	}
	d := decoder{}
	d.object(r.Body, "", reflect.ValueOf(&v).Elem())
	if err := malformed("the body holds what this operation does not take", d.refused); err != nil {
		return v, nil, err
	}
	return v, d.faults, nil
}

// DecodeOptional is Decode for an operation whose body may be left out.
func DecodeOptional[T any](r *Request) (T, fault.Fields, error) {
	if len(r.Body) == 0 {
		var v T
		return v, nil, nil
	}
	return Decode[T](r)
}

// checkBody fails unless the body is one JSON value that can be stored and sent
// on without surprises.
func (r *Request) checkBody() error {
	if len(r.Body) > maxBody {
		return fault.New(fault.TooLarge, "the body is %d bytes, and at most %d are read", len(r.Body), maxBody)
	}
	mediaType, params, err := mime.ParseMediaType(r.Header("content-type"))
	if err != nil || mediaType != jsonType || !isUTF8(params["charset"]) {
		return fault.New(fault.MediaType, "send the body with Content-Type: %s, in UTF-8", jsonType)
	}
	return checkJSON(r.Body)
}

// checkJSON reads the tokens of text, and fails with fault.Malformed at the
// first that is wrong. The decoder itself refuses duplicate members, invalid
// UTF-8 and unpaired surrogates.
func checkJSON(text []byte) error {
	dec := jsontext.NewDecoder(bytes.NewReader(text))
	for {
		token, err := dec.ReadToken()
		if err != nil {
			return syntaxFault(err)
		}
		if dec.StackDepth() > maxNesting {
			return fault.New(fault.Malformed, "the body is nested over %d deep", maxNesting)
		}
		if token.Kind() == '"' && strings.ContainsFunc(token.String(), isControl) {
			return &fault.Error{
				Kind:   fault.Malformed,
				Detail: "the body holds control characters",
				Fields: fault.Fields{{Pointer: pointer(dec.StackPointer()), Detail: "must not hold control characters other than tab and line breaks"}},
			}
		}
		if dec.StackDepth() == 0 {
			if _, err := dec.ReadToken(); !errors.Is(err, io.EOF) {
				return fault.New(fault.Malformed, "the body holds more than one JSON value")
			}
			return nil
		}
	}
}

// syntaxFault says what is wrong with a text that is not JSON as we read it, in
// words that show no value, which may be a password.
func syntaxFault(err error) error {
	at, ok := errors.AsType[*jsontext.SyntacticError](err)
	switch {
	case ok && errors.Is(err, jsontext.ErrDuplicateName):
		return &fault.Error{
			Kind:   fault.Malformed,
			Detail: "the body has a member twice",
			Fields: fault.Fields{{Pointer: pointer(at.JSONPointer), Detail: "must be there once"}},
			Err:    err,
		}
	case ok:
		return fault.Wrap(err, fault.Malformed, "the body is not JSON: see byte %d", at.ByteOffset)
	}
	return fault.Wrap(err, fault.Malformed, "the body is not JSON: it ends too early")
}

// isUTF8 reports whether a charset parameter, if there is one, names the encoding
// that JSON has (RFC 8259, section 8.1).
func isUTF8(charset string) bool { return charset == "" || strings.EqualFold(charset, "utf-8") }

func isControl(r rune) bool {
	return r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0
}

// lines is the type of a member that takes a text of several lines, in which tabs
// and line breaks may be. Every other text is one line.
type lines string

// A decoder reads an object member by member, so that one of a wrong type does
// not hide the next.
type decoder struct {
	lenient bool         // lets members pass that are not read
	faults  fault.Fields // members of a wrong type
	refused fault.Fields // members that are not there to be set, or hold what no text may
}

// target is a patch.Field, whatever its type.
type target interface{ Target() any }

func (d *decoder) object(text jsontext.Value, at jsontext.Pointer, into reflect.Value) {
	if text.Kind() != '{' {
		d.faults.Add(pointer(at), "must be an object")
		return
	}
	fields := jsonFields(into.Type())
	var members map[string]jsontext.Value
	if err := json.Unmarshal(text, &members); err != nil {
		d.faults.Add(pointer(at), "must be an object")
		return
	}
	for _, name := range sortedKeys(members) {
		field, ok := fields[name]
		if !ok {
			if !d.lenient {
				d.refused.Add(pointer(at.AppendToken(name)), "%s", unknownDetail(name, fields))
			}
			continue
		}
		d.member(members[name], at.AppendToken(name), into.FieldByIndex(field))
	}
}

func (d *decoder) member(text jsontext.Value, at jsontext.Pointer, into reflect.Value) {
	if field, ok := reflect.TypeAssert[target](into.Addr()); ok {
		into = reflect.ValueOf(field.Target()).Elem()
	}
	nullable := into.Kind() == reflect.Pointer || into.Type() == reflect.TypeFor[jsontext.Value]()
	if text.Kind() == 'n' && !nullable {
		d.faults.Add(pointer(at), "must not be null")
		return
	}
	if into.Kind() == reflect.Struct {
		d.object(text, at, into)
		return
	}
	if err := json.Unmarshal(text, into.Addr().Interface()); err != nil {
		d.faults.Add(pointer(at), "must be %s", typeName(into.Type()))
		return
	}
	s := reflect.Indirect(into)
	if s.Kind() == reflect.String && s.Type() != reflect.TypeFor[lines]() && strings.ContainsAny(s.String(), "\t\r\n") {
		d.refused.Add(pointer(at), "must not hold tabs or line breaks")
	}
}

// jsonFields returns the index of each field of a struct by its name in JSON.
func jsonFields(t reflect.Type) map[string][]int {
	fields := map[string][]int{}
	for _, f := range reflect.VisibleFields(t) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" {
			fields[name] = f.Index
		}
	}
	return fields
}

func unknownDetail(name string, fields map[string][]int) string {
	names := sortedKeys(fields)
	if i := slices.IndexFunc(names, func(known string) bool { return strings.EqualFold(known, name) }); i >= 0 {
		return "must be written " + names[i]
	}
	return "is not a member of this resource"
}

// typeName names a Go type as a client would.
func typeName(t reflect.Type) string {
	if t == reflect.TypeFor[time.Time]() {
		return "a date and time of RFC 3339"
	}
	switch t.Kind() { //nolint:exhaustive // inputs have members of few types
	case reflect.Pointer:
		return typeName(t.Elem()) + " or null"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int64:
		return "an integer"
	case reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "an array"
	case reflect.Map:
		return "an object"
	default:
		return "a string"
	}
}
