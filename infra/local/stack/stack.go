// Package stack is a small CloudFormation for one machine. It starts the local
// AWS endpoint, creates what the template declares there, hands the functions
// to the local Lambda runtime and the routes to the local gateway, and stops
// all of it again.
package stack

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/tenantry/tenantry/infra/local/cloud"
	"github.com/tenantry/tenantry/infra/local/cloud/dynamodb"
	"github.com/tenantry/tenantry/infra/local/cloud/iam"
	"github.com/tenantry/tenantry/infra/local/engines"
	"github.com/tenantry/tenantry/infra/local/gateway"
	"github.com/tenantry/tenantry/infra/local/lambda"
	"github.com/tenantry/tenantry/infra/local/schedule"
	"github.com/tenantry/tenantry/infra/local/template"
)

// What every local stack has in common.
const (
	stackName = "tenantry-local"
	region    = "us-east-1"
	accountID = "123456789012"
	loopback  = "127.0.0.1"
)

// Options say what to start and where. The zero value of a port means any
// free one.
type Options struct {
	Template   string            // path of template.yaml
	Bin        string            // folder of the compiled functions
	Data       string            // folder for logs, mail and the engines' files; emptied of them first
	Engines    string            // folder in which the engines are installed, if need be
	Port       int               // of the API
	AWSPort    int               // of the AWS endpoint
	Parameters map[string]string // of the stack
	Strict     bool              // the AWS endpoint is as unkind as AWS
	AWSHost    string            // an address besides 127.0.0.1 that the AWS endpoint answers at, for containers; "" for none
	NoAPI      bool              // leaves Port to the caller, for something else that serves the API
	Usage      *iam.Usage        // gets what functions and state machines needed of their policies; nil for none
	Out        io.Writer         // progress, a line for each step that may take long, and for each call that policies do not allow; nil for none
}

// An Info tells clients where a running stack is. It is the content of
// stack.json.
type Info struct {
	StackName   string `json:"stack_name"`
	APIURL      string `json:"api_url"`
	AWSEndpoint string `json:"aws_endpoint"`
	Region      string `json:"region"`
	Table       string `json:"table"`
	UserPoolID  string `json:"user_pool_id"`
	ClientID    string `json:"client_id"`
	AuditKeyARN string `json:"audit_key_arn,omitempty"` // where the stack has such a key
	Admin       Admin  `json:"admin"`
}

// An Admin is the sign-in of the platform admin that each start makes anew.
type Admin struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// A Stack is a running set.
type Stack struct {
	options Options
	info    Info
	outputs map[string]string
	env     map[string]map[string]string
	log     *slog.Logger

	dynamodb  *dynamodb.Layer
	endpoint  *cloud.Endpoint
	runtime   *lambda.Runtime
	gateway   *gateway.Gateway
	schedules atomic.Pointer[schedule.Scheduler]

	failed  chan error
	closers []func() error // called last to first
	once    sync.Once
	closed  error
}

// Start starts the whole set and returns when it answers. If it fails, or ctx
// ends before that, it leaves nothing behind.
func Start(ctx context.Context, o Options) (*Stack, error) {
	if o.Out == nil {
		o.Out = io.Discard
	}
	var err error
	if o.Bin, err = filepath.Abs(o.Bin); err != nil { // functions run in a folder of their own
		return nil, fmt.Errorf("find the functions: %w", err)
	}
	s := &Stack{options: o, failed: make(chan error, 1)}
	if err := s.start(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// start makes the parts in the order in which they need each other.
func (s *Stack) start(ctx context.Context) error {
	root, err := template.Load(s.options.Template)
	if err != nil {
		return err
	}
	if err := checkTypes(root); err != nil {
		return err
	}
	if err := s.openData(); err != nil {
		return err
	}
	api, err := s.listen(loopback, s.options.Port, "the API", "PORT")
	if err != nil {
		return err
	}
	aws, err := s.listen(loopback, s.options.AWSPort, "the AWS endpoint", "AWS_PORT")
	if err != nil {
		return err
	}
	s.info = Info{StackName: stackName, APIURL: "http://" + api.Addr().String(), AWSEndpoint: "http://" + aws.Addr().String(), Region: region}
	instance, err := root.Instantiate(stackName, template.Environment{Region: region, AccountID: accountID}, s.parameters(root))
	if err != nil {
		return err
	}
	if err := s.startCloud(ctx, aws); err != nil {
		return err
	}
	if err := s.deploy(ctx, instance); err != nil {
		return err
	}
	if err := s.ready(ctx); err != nil {
		return err
	}
	if s.options.NoAPI {
		err = api.Close()
	} else {
		s.serve(api, s.gateway)
	}
	if err != nil {
		return err
	}
	s.schedules.Load().Start()
	return s.writeInfo()
}

// parameters are those of the options, over what fits one machine.
func (s *Stack) parameters(root *template.Template) map[string]string {
	local := map[string]string{
		"AuthAccountLimit": "1000000", // whoever is there comes from one address
		"AuthAddressLimit": "1000000",
		"AutoConfirm":      "true",
		"JwksBaseUrl":      s.info.AWSEndpoint,
		"Production":       "false",
	}
	values := map[string]string{}
	for _, p := range root.Parameters() {
		if v, ok := local[p.Name]; ok {
			values[p.Name] = v
		}
	}
	maps.Copy(values, s.options.Parameters)
	return values
}

// listen opens a port of what, which the variable chooses.
func (s *Stack) listen(host string, port int, what, variable string) (net.Listener, error) {
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("port %d, for %s, is taken: choose another with %s", port, what, variable)
	}
	if err != nil {
		return nil, fmt.Errorf("listen for %s: %w", what, err)
	}
	s.closers = append(s.closers, func() error {
		if err := l.Close(); !errors.Is(err, net.ErrClosed) {
			return err
		}
		return nil
	})
	return l, nil
}

// startCloud starts the engines and the AWS endpoint in front of them, which
// answers on l.
func (s *Stack) startCloud(ctx context.Context, l net.Listener) error {
	if err := engines.Install(ctx, s.options.Engines, s.options.Out); err != nil {
		return err
	}
	var err error
	s.runtime, err = lambda.New(lambda.Options{
		Region:    region,
		AccountID: accountID,
		Env:       map[string]string{"AWS_ENDPOINT_URL": s.info.AWSEndpoint},
		Log:       s.log,
	})
	if err != nil {
		return err
	}
	// The schedules end after the functions, as they wait for those they fired.
	s.closers = append(s.closers, s.closeSchedules, s.runtime.Close)
	dynalite, moto, err := s.startEngines(ctx, l.Addr().(*net.TCPAddr).Port)
	if err != nil {
		return err
	}
	s.dynamodb = dynamodb.New(dynamodb.Options{Upstream: dynalite.URL, Strict: s.options.Strict})
	s.endpoint = cloud.New(cloud.Options{
		Moto:         moto.URL,
		DynamoDB:     s.dynamodb,
		Lambda:       s.runtime,
		Invoke:       s.invokeTrigger,
		FireSchedule: s.fireSchedule,
		Refused:      s.refused,
		Usage:        s.options.Usage,
		AccountID:    accountID,
		MailDir:      filepath.Join(s.options.Data, mailDir),
		Strict:       s.options.Strict,
	})
	s.serve(l, s.endpoint)
	if s.options.AWSHost == "" {
		return nil
	}
	outer, err := s.listen(s.options.AWSHost, l.Addr().(*net.TCPAddr).Port, "the AWS endpoint", "AWS_PORT")
	if err != nil {
		return err
	}
	s.serve(outer, s.endpoint)
	return nil
}

// startEngines starts both engines at once, as they take their time.
func (s *Stack) startEngines(ctx context.Context, awsPort int) (dynalite, moto *engines.Engine, err error) {
	dynaliteLog, err := s.openLog("dynalite")
	if err != nil {
		return nil, nil, err
	}
	motoLog, err := s.openLog("moto")
	if err != nil {
		return nil, nil, err
	}
	var g errgroup.Group
	g.Go(func() (err error) {
		dynalite, err = engines.StartDynalite(ctx, s.options.Engines, s.options.Data, dynaliteLog)
		return err
	})
	g.Go(func() (err error) {
		moto, err = engines.StartMoto(ctx, s.options.Engines, awsPort, motoLog)
		return err
	})
	err = g.Wait()
	for name, e := range map[string]*engines.Engine{"dynalite": dynalite, "moto": moto} {
		if e != nil {
			s.closers = append(s.closers, e.Stop)
			go s.watch(name, e)
		}
	}
	return dynalite, moto, err
}

// watch reports when an engine ends.
func (s *Stack) watch(name string, e *engines.Engine) {
	<-e.Done()
	s.fail(fmt.Errorf("%s has ended (%s); see %s", name, e.Ending(), s.logPath(name)))
}

// fail reports that the stack does not work any more.
func (s *Stack) fail(err error) {
	select {
	case s.failed <- err:
	default: // there is one already
	}
}

// serve answers the requests that come to l until the stack is closed.
func (s *Stack) serve(l net.Listener, h http.Handler) {
	server := &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelWarn),
	}
	go func() {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			s.fail(fmt.Errorf("serve %s: %w", l.Addr(), err))
		}
	}()
	s.closers = append(s.closers, server.Close)
}

// invokeTrigger runs a trigger of Cognito's.
func (s *Stack) invokeTrigger(ctx context.Context, function string, event []byte) (payload []byte, functionError string, err error) {
	r, err := s.runtime.Invoke(ctx, function, event)
	return r.Payload, r.FunctionError, err
}

// fireSchedule runs the function of a schedule now.
func (s *Stack) fireSchedule(ctx context.Context, name string) (payload []byte, functionError string, err error) {
	scheduler := s.schedules.Load()
	if scheduler == nil {
		return nil, "", schedule.ErrNotFound
	}
	r, err := scheduler.Fire(ctx, name)
	return r.Payload, r.FunctionError, err
}

// refused tells of a call that the caller's policies do not allow.
func (s *Stack) refused(r cloud.Refusal) {
	s.log.Error("the policies of the caller do not allow the call", "caller", r.Caller, "action", r.Action, "resource", r.Resource, "kinds", r.Kinds)
	of := ""
	if len(r.Kinds) > 0 {
		of = ", items " + strings.Join(r.Kinds, " ")
	}
	_, _ = fmt.Fprintf(s.options.Out, "refused: %s may not %s on %s%s\n", r.Caller, r.Action, r.Resource, of)
}

// closeSchedules ends the schedules, if there are any yet.
func (s *Stack) closeSchedules() error {
	if scheduler := s.schedules.Load(); scheduler != nil {
		return scheduler.Close()
	}
	return nil
}

// Info tells where the stack is.
func (s *Stack) Info() Info { return s.info }

// Outputs returns the outputs of the stack.
func (s *Stack) Outputs() map[string]string { return s.outputs }

// Environments returns the variables of each function, by its logical ID: those of
// the template, and its credential.
func (s *Stack) Environments() map[string]map[string]string { return s.env }

// DynamoDB returns the layer that answers for DynamoDB.
func (s *Stack) DynamoDB() *dynamodb.Layer { return s.dynamodb }

// Endpoint returns the AWS endpoint.
func (s *Stack) Endpoint() *cloud.Endpoint { return s.endpoint }

// Runtime returns the runtime of the functions.
func (s *Stack) Runtime() *lambda.Runtime { return s.runtime }

// Gateway returns the API.
func (s *Stack) Gateway() *gateway.Gateway { return s.gateway }

// Schedules returns the scheduler.
func (s *Stack) Schedules() *schedule.Scheduler { return s.schedules.Load() }

// Failed gives the reason when the stack stops working on its own, as when an
// engine ends.
func (s *Stack) Failed() <-chan error { return s.failed }

// Close ends all that Start started. It may be called more than once.
func (s *Stack) Close() error {
	s.once.Do(func() {
		for _, end := range slices.Backward(s.closers) {
			s.closed = errors.Join(s.closed, end())
		}
	})
	return s.closed
}
