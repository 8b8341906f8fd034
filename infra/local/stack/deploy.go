package stack

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"

	"github.com/tenantry/tenantry/infra/local/cloud"
	"github.com/tenantry/tenantry/infra/local/cloud/iam"
	"github.com/tenantry/tenantry/infra/local/gateway"
	"github.com/tenantry/tenantry/infra/local/lambda"
	"github.com/tenantry/tenantry/infra/local/schedule"
	"github.com/tenantry/tenantry/infra/local/template"
)

// A creator creates a resource and tells what Ref and GetAtt of it give.
type creator func(*deployment, context.Context, *template.Instance, *template.Resource) (template.Attributes, error)

// creators returns how each type of resource is created.
func creators() map[string]creator {
	return map[string]creator{
		template.StackType:             (*deployment).nested,
		template.FunctionType:          (*deployment).function,
		template.HTTPAPIType:           (*deployment).api,
		template.StateMachineType:      (*deployment).stateMachine,
		"AWS::DynamoDB::Table":         (*deployment).table,
		"AWS::Cognito::UserPool":       (*deployment).userPool,
		"AWS::Cognito::UserPoolClient": (*deployment).userPoolClient,
		"AWS::Cognito::UserPoolGroup":  (*deployment).userPoolGroup,
		"AWS::SecretsManager::Secret":  (*deployment).secret,
		"AWS::KMS::Key":                (*deployment).key,
		"AWS::SQS::Queue":              (*deployment).queue,

		// What makes no difference on one machine.
		"AWS::ApiGatewayV2::ApiMapping": (*deployment).nothing,
		"AWS::ApiGatewayV2::DomainName": (*deployment).domain,
		"AWS::CloudWatch::Alarm":        (*deployment).nothing,
		"AWS::CloudWatch::Dashboard":    (*deployment).nothing,
		"AWS::Lambda::Permission":       (*deployment).nothing,
		"AWS::Logs::LogGroup":           (*deployment).nothing,
		"AWS::Route53::RecordSet":       (*deployment).nothing,
		"AWS::SNS::Subscription":        (*deployment).nothing,
		"AWS::SNS::Topic":               (*deployment).nothing,
	}
}

// checkTypes finds the resources of a type that is not understood.
func checkTypes(root *template.Template) error {
	known := creators()
	var errs []error
	root.All(func(t *template.Template) {
		for _, r := range t.Resources() {
			if known[r.Type] == nil {
				errs = append(errs, fmt.Errorf("%s:%d: %s: the resource type %s is not understood", t.Path, r.Line, r.ID, r.Type))
			}
		}
	})
	return errors.Join(errs...)
}

// A deployment creates the resources of a stack.
type deployment struct {
	dir     string // of the compiled functions
	logs    func(function string) string
	runtime *lambda.Runtime
	cloud   *cloud.Endpoint

	dynamodb *dynamodb.Client
	cognito  *cognitoidentityprovider.Client
	secrets  *secretsmanager.Client
	sfn      *sfn.Client
	kms      *kms.Client

	gateway   *gateway.Options // of the API, once there is one
	schedules []schedule.Schedule
	env       map[string]map[string]string // the variables of each function, its credential included, by its logical ID
}

// newDeployment returns a deployment to the AWS endpoint of s.
func (s *Stack) newDeployment() *deployment {
	cfg := s.config()
	return &deployment{
		dir:      s.options.Bin,
		logs:     s.logPath,
		runtime:  s.runtime,
		cloud:    s.endpoint,
		dynamodb: dynamodb.NewFromConfig(cfg),
		cognito:  cognitoidentityprovider.NewFromConfig(cfg),
		secrets:  secretsmanager.NewFromConfig(cfg),
		sfn:      sfn.NewFromConfig(cfg),
		kms:      kms.NewFromConfig(cfg),
		env:      map[string]map[string]string{},
	}
}

// config is the configuration of clients of the AWS endpoint.
func (s *Stack) config() aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: &s.info.AWSEndpoint,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "local", SecretAccessKey: "local"}, nil
		}),
	}
}

// create creates the resources of i in the order in which they depend on each
// other.
func (d *deployment) create(ctx context.Context, i *template.Instance) error {
	resources, err := i.Resources()
	if err != nil {
		return err
	}
	known := creators()
	for _, r := range resources {
		attributes, err := known[r.Type](d, ctx, i, r)
		if err != nil {
			return fmt.Errorf("create %s of %s: %w", r.ID, i.Name, err)
		}
		i.Created(r, attributes)
	}
	return nil
}

// nested creates a stack in a stack. Its outputs are its attributes.
func (d *deployment) nested(ctx context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	nested, err := i.Nest(r)
	if err != nil {
		return template.Attributes{}, err
	}
	if err := d.create(ctx, nested); err != nil {
		return template.Attributes{}, err
	}
	outputs, err := nested.Outputs()
	if err != nil {
		return template.Attributes{}, err
	}
	values := map[string]string{}
	for name, v := range outputs {
		values["Outputs."+name] = v
	}
	return template.Attributes{Ref: nested.StackID(), Values: values}, nil
}

// nothing creates nothing, but gives the resource a name and an ARN.
func (d *deployment) nothing(_ context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	name := i.Name + "-" + r.ID
	service := strings.ToLower(strings.Split(r.Type, "::")[1])
	return template.Attributes{Ref: name, Values: map[string]string{"Arn": i.ARN(service, name)}}, nil
}

// queue creates nothing either: what is sent to it locally is nothing.
func (d *deployment) queue(ctx context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	a, err := d.nothing(ctx, i, r)
	a.Values["QueueName"] = a.Ref
	return a, err
}

// domain creates nothing either: locally the API has an address and no name.
func (d *deployment) domain(ctx context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	a, err := d.nothing(ctx, i, r)
	a.Values["RegionalDomainName"] = a.Ref
	a.Values["RegionalHostedZoneId"] = a.Ref
	return a, err
}

// policies reads the statements of the policies of r.
func policies(i *template.Instance, r *template.Resource) ([]iam.Statement, error) {
	declared, err := i.Statements(r)
	if err != nil {
		return nil, err
	}
	var all []iam.Statement
	for _, s := range declared {
		statement, err := iam.Parse(s.ID, s.Value)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", s.Line, err)
		}
		all = append(all, statement)
	}
	return all, nil
}

// function hands a function to the runtime, with a role of its own, and keeps its
// schedules.
func (d *deployment) function(_ context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	f, err := i.Function(r)
	if err != nil {
		return template.Attributes{}, err
	}
	statements, err := policies(i, r)
	if err != nil {
		return template.Attributes{}, err
	}
	credential := d.cloud.GrantFunction(f.Name, statements)
	dir := filepath.Base(f.Dir)
	err = d.runtime.Register(lambda.Function{
		Name:            f.Name,
		Dir:             dir,
		Binary:          filepath.Join(d.dir, dir),
		Env:             f.Environment,
		AccessKeyID:     credential.AccessKeyID,
		SecretAccessKey: credential.SecretAccessKey,
		Timeout:         f.Timeout,
		MemoryMB:        f.MemoryMB,
		LogFile:         d.logs(dir),
	})
	if err != nil {
		return template.Attributes{}, err
	}
	d.env[r.ID] = map[string]string{"AWS_ACCESS_KEY_ID": credential.AccessKeyID, "AWS_SECRET_ACCESS_KEY": credential.SecretAccessKey}
	maps.Copy(d.env[r.ID], f.Environment)
	schedules, err := i.Schedules(r)
	for _, s := range schedules {
		d.schedules = append(d.schedules, schedule.Schedule{Name: s.Name, Expression: s.Expression, Function: f.Name, Input: s.Input})
	}
	return template.Attributes{Ref: f.Name, Values: map[string]string{"Arn": i.ARN("lambda", "function:"+f.Name)}}, err
}

// api makes the options of the gateway.
func (d *deployment) api(_ context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	if d.gateway != nil {
		return template.Attributes{}, errors.New("only one API is understood")
	}
	api, err := i.API(r)
	if err != nil {
		return template.Attributes{}, err
	}
	d.gateway = &gateway.Options{Region: region, AccountID: accountID, APIID: "local", Invoker: d.runtime}
	if a := api.Authorizer; a != nil {
		d.gateway.Authorizer = &gateway.Authorizer{Function: a.FunctionARN, Headers: a.Headers, TTL: a.TTL}
	}
	if c := api.CORS; c != nil {
		d.gateway.CORS = &gateway.CORS{
			AllowOrigins:     c.AllowOrigins,
			AllowMethods:     c.AllowMethods,
			AllowHeaders:     c.AllowHeaders,
			ExposeHeaders:    c.ExposeHeaders,
			AllowCredentials: c.AllowCredentials,
			MaxAge:           c.MaxAge,
		}
	}
	for _, route := range api.Routes {
		name, err := i.Ref(route.Function)
		if err != nil {
			return template.Attributes{}, err
		}
		d.gateway.Routes = append(d.gateway.Routes, gateway.Route{
			Method:   route.Method,
			Path:     route.Path,
			Function: name,
			Public:   api.Authorizer == nil || route.Public(),
		})
	}
	return template.Attributes{Ref: d.gateway.APIID, Values: map[string]string{"ApiId": d.gateway.APIID, "Stage": "$default"}}, nil
}
