package template

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
)

// Unread is the type of a field whose property is known and does not matter
// here. Its value is not even evaluated.
type Unread struct{}

// Properties evaluates the properties of r into the struct that into points to.
// A property is stored in the field of that name, or of that `cfn` tag; one
// without a field is an error. As CloudFormation does, it takes a number or a
// boolean for a string, and a string that reads as one for either.
func (i *Instance) Properties(r *Resource, into any) error {
	members, err := entries(r.props)
	if err != nil {
		return err
	}
	target := reflect.ValueOf(into).Elem()
	var errs []error
	for _, m := range members {
		f, ok := field(target, m.key)
		if !ok {
			errs = append(errs, at(m.node, "the property %q is not understood", m.key))
			continue
		}
		if f.Type() == reflect.TypeFor[Unread]() {
			continue
		}
		v, err := i.eval(m.value)
		if err == nil && v != (noValue{}) {
			err = assign(m.key, v, f)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("line %d: %w", m.node.Line, err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%s: %s: %w", i.template.Path, r.ID, err)
	}
	return nil
}

// field returns the field of the struct v for the property name.
func field(v reflect.Value, name string) (reflect.Value, bool) {
	for _, f := range reflect.VisibleFields(v.Type()) {
		if tag, ok := f.Tag.Lookup("cfn"); f.IsExported() && !f.Anonymous && (tag == name || !ok && f.Name == name) {
			// FieldByName, not by f's index: an outer field hides an embedded one.
			return v.FieldByName(f.Name), true
		}
	}
	return reflect.Value{}, false
}

// assign stores the value v, found at path, in target.
func assign(path string, v any, target reflect.Value) error {
	switch target.Kind() { //nolint:exhaustive // the other kinds are single values
	case reflect.Pointer:
		target.Set(reflect.New(target.Type().Elem()))
		return assign(path, v, target.Elem())
	case reflect.Interface:
		target.Set(reflect.ValueOf(v))
		return nil
	case reflect.Slice:
		return assignList(path, v, target)
	case reflect.Map:
		return assignMap(path, v, target)
	case reflect.Struct:
		return assignStruct(path, v, target)
	default:
		return assignScalar(path, v, target)
	}
}

func assignList(path string, v any, target reflect.Value) error {
	list, ok := v.([]any)
	if !ok {
		return fmt.Errorf("%s must be a list", path)
	}
	var errs []error
	target.Set(reflect.MakeSlice(target.Type(), len(list), len(list)))
	for k, element := range list {
		errs = append(errs, assign(fmt.Sprintf("%s[%d]", path, k), element, target.Index(k)))
	}
	return errors.Join(errs...)
}

func assignMap(path string, v any, target reflect.Value) error {
	members, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s must be a mapping", path)
	}
	var errs []error
	target.Set(reflect.MakeMap(target.Type()))
	for _, key := range slices.Sorted(maps.Keys(members)) {
		element := reflect.New(target.Type().Elem()).Elem()
		errs = append(errs, assign(path+"."+key, members[key], element))
		target.SetMapIndex(reflect.ValueOf(key).Convert(target.Type().Key()), element)
	}
	return errors.Join(errs...)
}

func assignStruct(path string, v any, target reflect.Value) error {
	members, ok := v.(map[string]any)
	if !ok {
		return fmt.Errorf("%s must be a mapping", path)
	}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(members)) {
		f, ok := field(target, key)
		if !ok {
			errs = append(errs, fmt.Errorf("%s.%s is not understood", path, key))
			continue
		}
		if f.Type() != reflect.TypeFor[Unread]() {
			errs = append(errs, assign(path+"."+key, members[key], f))
		}
	}
	return errors.Join(errs...)
}

func assignScalar(path string, v any, target reflect.Value) error {
	switch v.(type) {
	case string, bool, int64, float64:
	default:
		return fmt.Errorf("%s must be a single value", path)
	}
	text := fmt.Sprint(v)
	var err error
	switch target.Kind() { //nolint:exhaustive // the other kinds are refused
	case reflect.String:
		target.SetString(text)
	case reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(text)
		target.SetBool(b)
	case reflect.Int, reflect.Int32, reflect.Int64:
		var n int64
		n, err = strconv.ParseInt(text, 10, target.Type().Bits())
		target.SetInt(n)
	case reflect.Float64:
		var n float64
		n, err = strconv.ParseFloat(text, 64)
		target.SetFloat(n)
	default:
		return fmt.Errorf("%s: a field of type %s is not filled from a template", path, target.Type())
	}
	if err != nil {
		return fmt.Errorf("%s is %q, which is no %s", path, text, target.Kind())
	}
	return nil
}
