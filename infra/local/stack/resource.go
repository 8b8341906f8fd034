package stack

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	dynamotypes "github.com/aws/aws-sdk-go-v2/service/dynamodb/types"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	kmstypes "github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/sfn"
	sfntypes "github.com/aws/aws-sdk-go-v2/service/sfn/types"

	"github.com/tenantry/tenantry/infra/local/template"
)

// tableWait bounds the wait for a new table.
const tableWait = 30 * time.Second

// table creates an AWS::DynamoDB::Table.
func (d *deployment) table(ctx context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	var p struct {
		dynamodb.CreateTableInput
		SSESpecification                 struct{ SSEEnabled bool }
		TimeToLiveSpecification          *dynamotypes.TimeToLiveSpecification
		PointInTimeRecoverySpecification *dynamotypes.PointInTimeRecoverySpecification
	}
	if err := i.Properties(r, &p); err != nil {
		return template.Attributes{}, err
	}
	if p.TableName == nil {
		p.TableName = new(i.Name + "-" + r.ID)
	}
	p.CreateTableInput.SSESpecification = &dynamotypes.SSESpecification{Enabled: &p.SSESpecification.SSEEnabled}
	out, err := d.dynamodb.CreateTable(ctx, &p.CreateTableInput)
	if err != nil {
		return template.Attributes{}, err
	}
	// A table takes its settings once it is active, which strict mode delays.
	waiter := dynamodb.NewTableExistsWaiter(d.dynamodb, func(o *dynamodb.TableExistsWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 500*time.Millisecond
	})
	if err := waiter.Wait(ctx, &dynamodb.DescribeTableInput{TableName: p.TableName}, tableWait); err != nil {
		return template.Attributes{}, err
	}
	if p.TimeToLiveSpecification != nil {
		_, err := d.dynamodb.UpdateTimeToLive(ctx, &dynamodb.UpdateTimeToLiveInput{
			TableName:               p.TableName,
			TimeToLiveSpecification: p.TimeToLiveSpecification,
		})
		if err != nil {
			return template.Attributes{}, err
		}
	}
	if p.PointInTimeRecoverySpecification != nil {
		_, err := d.dynamodb.UpdateContinuousBackups(ctx, &dynamodb.UpdateContinuousBackupsInput{
			TableName:                        p.TableName,
			PointInTimeRecoverySpecification: p.PointInTimeRecoverySpecification,
		})
		if err != nil {
			return template.Attributes{}, err
		}
	}
	return template.Attributes{Ref: *p.TableName, Values: map[string]string{"Arn": *out.TableDescription.TableArn}}, nil
}

// userPool creates an AWS::Cognito::UserPool.
func (d *deployment) userPool(ctx context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	var p struct {
		cognitoidentityprovider.CreateUserPoolInput
		UserPoolName *string
	}
	if err := i.Properties(r, &p); err != nil {
		return template.Attributes{}, err
	}
	if p.PoolName = p.UserPoolName; p.PoolName == nil {
		p.PoolName = new(i.Name + "-" + r.ID)
	}
	out, err := d.cognito.CreateUserPool(ctx, &p.CreateUserPoolInput)
	if err != nil {
		return template.Attributes{}, err
	}
	id := *out.UserPool.Id
	provider := fmt.Sprintf("cognito-idp.%s.amazonaws.com/%s", region, id)
	return template.Attributes{Ref: id, Values: map[string]string{
		"Arn":          i.ARN("cognito-idp", "userpool/"+id),
		"ProviderName": provider,
		"ProviderURL":  "https://" + provider,
		"UserPoolId":   id,
	}}, nil
}

// userPoolClient creates an AWS::Cognito::UserPoolClient.
func (d *deployment) userPoolClient(ctx context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	var p cognitoidentityprovider.CreateUserPoolClientInput
	if err := i.Properties(r, &p); err != nil {
		return template.Attributes{}, err
	}
	if p.ClientName == nil {
		p.ClientName = new(i.Name + "-" + r.ID)
	}
	out, err := d.cognito.CreateUserPoolClient(ctx, &p)
	if err != nil {
		return template.Attributes{}, err
	}
	id := *out.UserPoolClient.ClientId
	values := map[string]string{"ClientId": id, "Name": *p.ClientName}
	if secret := out.UserPoolClient.ClientSecret; secret != nil {
		values["ClientSecret"] = *secret
	}
	return template.Attributes{Ref: id, Values: values}, nil
}

// userPoolGroup creates an AWS::Cognito::UserPoolGroup.
func (d *deployment) userPoolGroup(ctx context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	var p cognitoidentityprovider.CreateGroupInput
	if err := i.Properties(r, &p); err != nil {
		return template.Attributes{}, err
	}
	if p.GroupName == nil {
		p.GroupName = new(i.Name + "-" + r.ID)
	}
	_, err := d.cognito.CreateGroup(ctx, &p)
	return template.Attributes{Ref: *p.GroupName}, err
}

// A generator says how a secret's value is made up.
type generator struct {
	secretsmanager.GetRandomPasswordInput
	SecretStringTemplate, GenerateStringKey string
}

// secret creates an AWS::SecretsManager::Secret.
func (d *deployment) secret(ctx context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	var p struct {
		secretsmanager.CreateSecretInput
		GenerateSecretString *generator
	}
	if err := i.Properties(r, &p); err != nil {
		return template.Attributes{}, err
	}
	if p.Name == nil {
		p.Name = new(i.Name + "-" + r.ID)
	}
	if p.GenerateSecretString != nil {
		generated, err := d.generate(ctx, p.GenerateSecretString)
		if err != nil {
			return template.Attributes{}, err
		}
		p.SecretString = &generated
	}
	out, err := d.secrets.CreateSecret(ctx, &p.CreateSecretInput)
	if err != nil {
		return template.Attributes{}, err
	}
	return template.Attributes{Ref: *out.ARN, Values: map[string]string{"Id": *out.ARN}}, nil
}

// generate makes up the value of a secret.
func (d *deployment) generate(ctx context.Context, g *generator) (string, error) {
	out, err := d.secrets.GetRandomPassword(ctx, &g.GetRandomPasswordInput)
	if err != nil {
		return "", err
	}
	if g.GenerateStringKey == "" {
		return *out.RandomPassword, nil
	}
	document := map[string]any{}
	if err := json.Unmarshal([]byte(g.SecretStringTemplate), &document); err != nil {
		return "", fmt.Errorf("SecretStringTemplate: %w", err)
	}
	document[g.GenerateStringKey] = *out.RandomPassword
	text, err := json.Marshal(document)
	return string(text), err
}

// functionARN is how a definition names a function.
var functionARN = regexp.MustCompile(`arn:aws:lambda:[a-z0-9-]+:[0-9]{12}:function:[A-Za-z0-9_-]+`)

// stateMachine creates an AWS::Serverless::StateMachine, with a role of its own.
func (d *deployment) stateMachine(ctx context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	m, err := i.StateMachine(r)
	if err != nil {
		return template.Attributes{}, err
	}
	statements, err := policies(i, r)
	if err != nil {
		return template.Attributes{}, err
	}
	functions := functionARN.FindAllString(m.Definition, -1)
	slices.Sort(functions)
	if err := d.cloud.GrantStateMachine(m.Name, statements, slices.Compact(functions)); err != nil {
		return template.Attributes{}, err
	}
	out, err := d.sfn.CreateStateMachine(ctx, &sfn.CreateStateMachineInput{
		Name:       &m.Name,
		Type:       sfntypes.StateMachineType(m.Type),
		Definition: &m.Definition,
		RoleArn:    new("arn:aws:iam::" + accountID + ":role/" + m.Name),
	})
	if err != nil {
		return template.Attributes{}, err
	}
	return template.Attributes{Ref: *out.StateMachineArn, Values: map[string]string{"Arn": *out.StateMachineArn, "Name": m.Name}}, nil
}

// key creates an AWS::KMS::Key.
func (d *deployment) key(ctx context.Context, i *template.Instance, r *template.Resource) (template.Attributes, error) {
	var p struct {
		Description                                                      *string
		KeySpec                                                          kmstypes.KeySpec
		KeyUsage                                                         kmstypes.KeyUsageType
		Enabled, EnableKeyRotation, KeyPolicy, Tags, PendingWindowInDays template.Unread
	}
	if err := i.Properties(r, &p); err != nil {
		return template.Attributes{}, err
	}
	out, err := d.kms.CreateKey(ctx, &kms.CreateKeyInput{Description: p.Description, KeySpec: p.KeySpec, KeyUsage: p.KeyUsage})
	if err != nil {
		return template.Attributes{}, err
	}
	return template.Attributes{Ref: *out.KeyMetadata.KeyId, Values: map[string]string{
		"Arn":   *out.KeyMetadata.Arn,
		"KeyId": *out.KeyMetadata.KeyId,
	}}, nil
}
