package template

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// The types that are more than their properties.
const (
	StackType        = "AWS::CloudFormation::Stack"
	FunctionType     = "AWS::Serverless::Function"
	HTTPAPIType      = "AWS::Serverless::HttpApi"
	StateMachineType = "AWS::Serverless::StateMachine"
)

// A Function is an AWS::Serverless::Function without its events.
type Function struct {
	ID          string
	Name        string // by which it is invoked
	Dir         string // where its code is, from the template's folder
	Environment map[string]string
	Timeout     time.Duration
	MemoryMB    int
}

// Function evaluates r, a function.
func (i *Instance) Function(r *Resource) (Function, error) {
	p := struct {
		FunctionName, Runtime, Handler string
		CodeURI                        string `cfn:"CodeUri"`
		MemorySize, Timeout            int
		Environment                    struct{ Variables map[string]string }

		Description, Events, Policies, Architectures, Tracing        Unread
		LoggingConfig, Tags, ReservedConcurrentExecutions, VpcConfig Unread
		EventInvokeConfig, DeadLetterQueue                           Unread
	}{FunctionName: i.Name + "-" + r.ID, MemorySize: 128, Timeout: 3}
	if err := i.Properties(r, &p); err != nil {
		return Function{}, err
	}
	if !strings.HasPrefix(p.Runtime, "provided.") || p.Handler != "bootstrap" || p.CodeURI == "" {
		return Function{}, fmt.Errorf("%s:%d: %s: a function is a Go program: CodeUri, Handler bootstrap and a Runtime provided.…", i.template.Path, r.Line, r.ID)
	}
	return Function{
		ID:          r.ID,
		Name:        p.FunctionName,
		Dir:         filepath.Clean(p.CodeURI),
		Environment: p.Environment.Variables,
		Timeout:     time.Duration(p.Timeout) * time.Second,
		MemoryMB:    p.MemorySize,
	}, nil
}

// A Route is an event of type HttpApi: requests that a function serves.
type Route struct {
	API        string // the logical ID of the API
	Method     string // GET, …, ANY; empty for $default
	Path       string // or $default
	Function   string // the logical ID of the function
	Authorizer string // its name; NONE for a public route, empty for the API's default
}

// Routes returns the routes of t to its APIs, in the order of the file. They
// are the same whatever the parameters are: one whose method or path is not
// written out is an error.
func (t *Template) Routes() ([]Route, error) {
	var all []Route
	var errs []error
	for _, e := range t.events("HttpApi") {
		route, err := t.route(e)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: event %s of %s: %w", t.Path, e.name, e.function.ID, err))
			continue
		}
		all = append(all, route)
	}
	return all, errors.Join(errs...)
}

// route reads the event e, of type HttpApi.
func (t *Template) route(e event) (Route, error) {
	route := Route{Function: e.function.ID, API: apiOf(e)}
	if t.byID[route.API] == nil || t.byID[route.API].Type != HTTPAPIType {
		return route, at(e.node, "ApiId must be a Ref to an API of this template")
	}
	members, err := entries(e.props)
	if err != nil {
		return route, err
	}
	for _, m := range members {
		switch m.key {
		case "ApiId":
		case "Method":
			route.Method, err = literal(m.value)
			route.Method = strings.ToUpper(route.Method)
		case "Path":
			route.Path, err = literal(m.value)
		case "Auth":
			route.Authorizer, err = authorizerOf(m.value)
		default:
			err = at(m.node, "%q is not understood", m.key)
		}
		if err != nil {
			return route, err
		}
	}
	if route.Path == "" && route.Method == "" {
		route.Path = "$default"
	}
	if route.Path == "" || route.Method == "" && route.Path != "$default" {
		return route, at(e.node, "a route needs both Method and Path; $default has neither")
	}
	return route, nil
}

// authorizerOf reads the Auth of an event.
func authorizerOf(n *yaml.Node) (string, error) {
	members, err := entries(n)
	if err != nil {
		return "", err
	}
	if len(members) != 1 || members[0].key != "Authorizer" {
		return "", at(n, "of Auth, only Authorizer is understood")
	}
	return literal(members[0].value)
}

// literal gives the text of a scalar that is written out.
func literal(n *yaml.Node) (string, error) {
	if _, ok := callOf(n); ok || n.Kind != yaml.ScalarNode {
		return "", at(n, "must be written out")
	}
	return n.Value, nil
}

// An event is one event of a function.
type event struct {
	function *Resource
	name     string
	kind     string
	node     *yaml.Node
	props    *yaml.Node
}

// events returns the events of the given kind.
func (t *Template) events(kind string) []event {
	var all []event
	for _, r := range t.resources {
		for _, e := range r.events() {
			if e.kind == kind {
				all = append(all, e)
			}
		}
	}
	return all
}

// events returns the events of r, if it is a function.
func (r *Resource) events() []event {
	declared := value(r.props, "Events")
	if r.Type != FunctionType || declared == nil {
		return nil
	}
	members, err := entries(declared)
	if err != nil {
		return nil
	}
	var all []event
	for _, m := range members {
		e := event{function: r, name: m.key, node: m.node, props: value(m.value, "Properties")}
		if e.props == nil {
			e.props = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: m.node.Line}
		}
		if kind := value(m.value, "Type"); kind != nil {
			e.kind = kind.Value
		}
		all = append(all, e)
	}
	return all
}

// checkEvents finds the events of r of a type that is not understood.
func (t *Template) checkEvents(r *Resource) error {
	declared := value(r.props, "Events")
	if r.Type != FunctionType || declared == nil {
		return nil
	}
	if _, err := entries(declared); err != nil {
		return err
	}
	var errs []error
	for _, e := range r.events() {
		ok := slices.Contains([]string{"HttpApi", "ScheduleV2"}, e.kind)
		errs = append(errs, unless(ok, e.node, "event %s: the type %q is not understood", e.name, e.kind))
	}
	return errors.Join(errs...)
}

// apiOf returns the logical ID of the API that the event e refers to, or "".
func apiOf(e event) string {
	id := value(e.props, "ApiId")
	if id == nil {
		return ""
	}
	if c, ok := callOf(id); ok && c.name == "Ref" {
		return c.arg.Value
	}
	return ""
}

// An API is an AWS::Serverless::HttpApi.
type API struct {
	ID         string
	Authorizer *Authorizer // its default authorizer; nil if it has none
	CORS       *CORS       // nil if it has none
	Routes     []Route
}

// An Authorizer is a Lambda authorizer with simple responses.
type Authorizer struct {
	Name        string
	FunctionARN string
	Headers     []string // the identity sources
	TTL         time.Duration
}

// A CORS is an API's CORS configuration.
type CORS struct {
	AllowOrigins, AllowMethods, AllowHeaders, ExposeHeaders []string
	AllowCredentials                                        bool
	MaxAge                                                  time.Duration
}

// apiProperties are those of an AWS::Serverless::HttpApi.
type apiProperties struct {
	Auth struct {
		DefaultAuthorizer string
		Authorizers       map[string]authorizerProperties
	}
	CorsConfiguration *corsProperties

	DisableExecuteAPI                               Unread `cfn:"DisableExecuteApiEndpoint"`
	Name, Description, StageName, AccessLogSettings Unread
	DefaultRouteSettings, RouteSettings, Tags       Unread
}

// corsProperties are those of a CORS configuration.
type corsProperties struct {
	AllowOrigins, AllowMethods, AllowHeaders, ExposeHeaders []string
	AllowCredentials                                        bool
	MaxAge                                                  int // seconds
}

// authorizerProperties are those of a Lambda authorizer.
type authorizerProperties struct {
	FunctionARN     string `cfn:"FunctionArn"`
	PayloadFormat   string `cfn:"AuthorizerPayloadFormatVersion"`
	SimpleResponses bool   `cfn:"EnableSimpleResponses"`
	Permissions     bool   `cfn:"EnableFunctionDefaultPermissions"`
	Identity        struct {
		Headers          []string
		ReauthorizeEvery int
	}
}

// API evaluates r, an HTTP API, with the routes of the functions that have been
// created.
func (i *Instance) API(r *Resource) (API, error) {
	var p apiProperties
	if err := i.Properties(r, &p); err != nil {
		return API{}, err
	}
	api := API{ID: r.ID}
	if c := p.CorsConfiguration; c != nil {
		api.CORS = &CORS{c.AllowOrigins, c.AllowMethods, c.AllowHeaders, c.ExposeHeaders, c.AllowCredentials, time.Duration(c.MaxAge) * time.Second}
	}
	routes, err := i.template.Routes()
	if err != nil {
		return api, err
	}
	for _, route := range routes {
		if _, exists := i.created[route.Function]; exists && route.API == r.ID {
			api.Routes = append(api.Routes, route)
		}
	}
	api.Authorizer, err = p.defaultAuthorizer()
	if err == nil {
		err = api.checkAuthorizers()
	}
	if err != nil {
		return api, fmt.Errorf("%s:%d: %s: %w", i.template.Path, r.Line, r.ID, err)
	}
	return api, nil
}

// defaultAuthorizer gives the one authorizer that an API may have.
func (p *apiProperties) defaultAuthorizer() (*Authorizer, error) {
	if len(p.Auth.Authorizers) == 0 && p.Auth.DefaultAuthorizer == "" {
		return nil, nil
	}
	name := p.Auth.DefaultAuthorizer
	a, ok := p.Auth.Authorizers[name]
	switch {
	case !ok || len(p.Auth.Authorizers) != 1:
		return nil, errors.New("of authorizers, exactly one is understood, which is the default")
	case a.PayloadFormat != "2.0" || !a.SimpleResponses:
		return nil, fmt.Errorf("authorizer %s: only the payload format 2.0 with simple responses is understood", name)
	case !a.Permissions:
		return nil, fmt.Errorf("authorizer %s: without EnableFunctionDefaultPermissions the API may not call it", name)
	case len(a.Identity.Headers) == 0:
		return nil, fmt.Errorf("authorizer %s: Identity must name Headers", name)
	}
	return &Authorizer{
		Name:        name,
		FunctionARN: a.FunctionARN,
		Headers:     a.Identity.Headers,
		TTL:         time.Duration(a.Identity.ReauthorizeEvery) * time.Second,
	}, nil
}

// checkAuthorizers finds routes with an authorizer that there is not.
func (a *API) checkAuthorizers() error {
	var errs []error
	for _, route := range a.Routes {
		known := a.Authorizer != nil && route.Authorizer == a.Authorizer.Name
		if route.Authorizer != "" && route.Authorizer != "NONE" && !known {
			errs = append(errs, fmt.Errorf("%s %s: there is no authorizer %q", route.Method, route.Path, route.Authorizer))
		}
	}
	return errors.Join(errs...)
}

// Public tells whether r is served without asking the authorizer of its API.
func (r Route) Public() bool { return r.Authorizer == "NONE" }

// A Schedule is an event of type ScheduleV2.
type Schedule struct {
	Name       string
	Expression string
	Input      string // empty for the scheduler's own event
	Function   string // the logical ID
}

// Schedules evaluates the schedules of r, a function that has been created, that
// are enabled.
func (i *Instance) Schedules(r *Resource) ([]Schedule, error) {
	var all []Schedule
	for _, e := range r.events() {
		if e.kind != "ScheduleV2" {
			continue
		}
		p := struct {
			Name                                      string
			Expression                                string `cfn:"ScheduleExpression"`
			Input, State                              string
			Description, FlexibleTimeWindow, OmitName Unread
			RetryPolicy, DeadLetterConfig             Unread
		}{Name: r.ID + e.name, State: "ENABLED"}
		if err := i.Properties(&Resource{ID: r.ID + "." + e.name, props: e.props}, &p); err != nil {
			return nil, err
		}
		switch p.State {
		case "ENABLED":
			all = append(all, Schedule{p.Name, p.Expression, p.Input, r.ID})
		case "DISABLED":
		default:
			return nil, at(e.node, "the State of a schedule is ENABLED or DISABLED, not %q", p.State)
		}
	}
	return all, nil
}

// A StateMachine is an AWS::Serverless::StateMachine.
type StateMachine struct {
	Name       string
	Type       string
	Definition string // Amazon States Language, its substitutions made
}

// StateMachine evaluates r, a state machine.
func (i *Instance) StateMachine(r *Resource) (StateMachine, error) {
	p := struct {
		Name, Type    string
		DefinitionURI string            `cfn:"DefinitionUri"`
		Substitutions map[string]string `cfn:"DefinitionSubstitutions"`

		Policies, Logging, Tracing, Tags Unread
	}{Name: i.Name + "-" + r.ID, Type: "STANDARD"}
	if err := i.Properties(r, &p); err != nil {
		return StateMachine{}, err
	}
	if p.DefinitionURI == "" {
		return StateMachine{}, fmt.Errorf("%s:%d: %s: DefinitionUri must be the path of a file", i.template.Path, r.Line, r.ID)
	}
	file := filepath.Join(filepath.Dir(i.template.Path), p.DefinitionURI)
	text, err := os.ReadFile(filepath.Clean(file))
	if err != nil {
		return StateMachine{}, fmt.Errorf("definition of %s: %w", r.ID, err)
	}
	definition, err := substitute(string(text), p.Substitutions)
	if err != nil {
		return StateMachine{}, fmt.Errorf("%s, definition of %s: %w", file, r.ID, err)
	}
	return StateMachine{p.Name, p.Type, definition}, nil
}

// substitute replaces each ${name} of text. A name without a value, and a value
// that is not used, are errors.
func substitute(text string, values map[string]string) (string, error) {
	var errs []error
	used := map[string]bool{}
	text = substitution.ReplaceAllStringFunc(text, func(match string) string {
		name := match[2 : len(match)-1]
		v, ok := values[name]
		if !ok {
			errs = append(errs, fmt.Errorf("there is no substitution for %s", match))
		}
		used[name] = true
		return v
	})
	for name := range values {
		if !used[name] {
			errs = append(errs, fmt.Errorf("the substitution %s is not used", name))
		}
	}
	return text, errors.Join(errs...)
}
