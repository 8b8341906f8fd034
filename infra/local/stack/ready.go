package stack

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/tenantry/tenantry/infra/local/gateway"
	"github.com/tenantry/tenantry/infra/local/schedule"
	"github.com/tenantry/tenantry/infra/local/template"
	"github.com/tenantry/tenantry/infra/platform"
)

// The platform admin that each start makes anew.
const (
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
	s.env = d.env
	s.info.Table = s.outputs["TableName"]
	s.info.UserPoolID = s.outputs["UserPoolId"]
	s.info.ClientID = s.outputs["ClientId"]
	s.info.AuditKeyARN = s.outputs["AuditKeyArn"]
	return nil
}

// ready makes sure that each function starts, and makes the account of the platform
// admin, whose password is final.
func (s *Stack) ready(ctx context.Context) error {
	if err := s.runtime.Check(ctx); err != nil {
		return err
	}
	if s.info.UserPoolID == "" {
		return nil // there are no accounts in this stack
	}
	s.info.Admin = Admin{Username: adminUsername, Password: rand.Text() + "-a1"}
	admins := platform.NewAdmins(s.config(), s.info.UserPoolID, s.info.Table)
	if err := admins.Seed(ctx, s.info.Admin.Username, adminEmail, s.info.Admin.Password); err != nil {
		return fmt.Errorf("make the platform admin: %w", err)
	}
	return nil
}
