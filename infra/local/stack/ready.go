package stack

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/tenantry/tenantry/infra/local/gateway"
	"github.com/tenantry/tenantry/infra/local/schedule"
	"github.com/tenantry/tenantry/infra/local/template"
)

// The platform admin that each start makes anew.
const (
	adminGroup    = "platform-admins"
	adminUsername = "platform-admin"
	adminEmail    = "platform-admin@example.com"
)

// deploy creates the resources of i, and makes the gateway and the schedules of
// what they say.
func (s *Stack) deploy(ctx context.Context, i *template.Instance) error {
	d := s.newDeployment()
	if err := d.create(ctx, i); err != nil {
		return err
	}
	var err error
	if s.outputs, err = i.Outputs(); err != nil {
		return err
	}
	if d.gateway == nil {
		return fmt.Errorf("%s: the template has no API", s.options.Template)
	}
	d.gateway.Log = s.log
	if s.gateway, err = gateway.New(*d.gateway); err != nil {
		return err
	}
	scheduler, err := schedule.New(d.schedules, schedule.Options{
		Invoker:   s.runtime,
		Strict:    s.options.Strict,
		Region:    region,
		AccountID: accountID,
		Log:       s.log,
	})
	if err != nil {
		return err
	}
	s.schedules.Store(scheduler)
	s.info.Table = s.outputs["TableName"]
	s.info.UserPoolID = s.outputs["UserPoolId"]
	s.info.ClientID = s.outputs["ClientId"]
	s.info.AuditKeyARN = s.outputs["AuditKeyArn"]
	return nil
}

// ready makes sure that each function starts, and makes the platform admin.
func (s *Stack) ready(ctx context.Context) error {
	if err := s.runtime.Check(ctx); err != nil {
		return err
	}
	if s.info.UserPoolID == "" {
		return nil // there are no accounts in this stack
	}
	s.info.Admin = Admin{Username: adminUsername, Password: rand.Text() + "-a1"}
	if err := s.seedAdmin(ctx); err != nil {
		return fmt.Errorf("make the platform admin: %w", err)
	}
	return nil
}

// seedAdmin makes the account of the platform admin, whose password is final.
func (s *Stack) seedAdmin(ctx context.Context) error {
	client := cognitoidentityprovider.NewFromConfig(s.config())
	pool, username := &s.info.UserPoolID, &s.info.Admin.Username
	_, err := client.AdminCreateUser(ctx, &cognitoidentityprovider.AdminCreateUserInput{
		UserPoolId:    pool,
		Username:      username,
		MessageAction: types.MessageActionTypeSuppress,
		UserAttributes: []types.AttributeType{
			{Name: new("email"), Value: new(adminEmail)},
			{Name: new("email_verified"), Value: new("true")},
		},
	})
	if err != nil {
		return err
	}
	_, err = client.AdminSetUserPassword(ctx, &cognitoidentityprovider.AdminSetUserPasswordInput{
		UserPoolId: pool,
		Username:   username,
		Password:   &s.info.Admin.Password,
		Permanent:  true,
	})
	if err != nil {
		return err
	}
	_, err = client.AdminAddUserToGroup(ctx, &cognitoidentityprovider.AdminAddUserToGroupInput{
		UserPoolId: pool,
		Username:   username,
		GroupName:  new(adminGroup),
	})
	return err
}
