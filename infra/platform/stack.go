package platform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/BurntSushi/toml"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
)

// A Stack is one that runs: deployed, or on this machine.
type Stack struct {
	Name       string
	Region     string
	APIURL     string
	Table      string
	UserPoolID string
	// Admin is the sign-in of the platform admin of a local stack, or zero.
	Admin Admin
	// Data is the data folder of a local stack, or "".
	Data string

	cfg aws.Config
}

// An Admin is the sign-in of a platform admin.
type Admin struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

// Config is the configuration of clients that reach the stack's resources.
func (s Stack) Config() aws.Config { return s.cfg }

// A Choice says which stack is meant: a deployed one by its name, or by its stage;
// otherwise that of make local.
type Choice struct {
	Name      string // of a deployed stack
	Stage     string // whose section of SAMConfig names a deployed stack
	SAMConfig string // path of samconfig.toml
	Data      string // data folder of make local
}

// Find returns the stack that is meant.
func (c Choice) Find(ctx context.Context) (Stack, error) {
	switch {
	case c.Name != "":
		return deployed(ctx, c.Name, "")
	case c.Stage != "":
		name, region, err := c.stage()
		if err != nil {
			return Stack{}, err
		}
		return deployed(ctx, name, region)
	}
	return local(c.Data)
}

// stage reads name and region of the stack from samconfig.toml.
func (c Choice) stage() (name, region string, err error) {
	var stages map[string]any
	if _, err := toml.DecodeFile(c.SAMConfig, &stages); err != nil {
		return "", "", fmt.Errorf("read %s: %w", c.SAMConfig, err)
	}
	section := stages
	for _, key := range []string{c.Stage, "deploy", "parameters"} {
		section, _ = section[key].(map[string]any)
	}
	name, _ = section["stack_name"].(string)
	region, _ = section["region"].(string)
	if name == "" {
		return "", "", fmt.Errorf("%s has no stack for the stage %s", c.SAMConfig, c.Stage)
	}
	return name, region, nil
}

// deployed asks CloudFormation where a stack is. Without a region it takes that of
// the environment or the profile.
func deployed(ctx context.Context, name, region string) (Stack, error) {
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(region))
	if err != nil {
		return Stack{}, fmt.Errorf("load the configuration of AWS: %w", err)
	}
	out, err := cloudformation.NewFromConfig(cfg).DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		return Stack{}, fmt.Errorf("describe the stack %s: %w", name, err)
	}
	s := Stack{Name: name, Region: cfg.Region, cfg: cfg}
	for _, o := range out.Stacks[0].Outputs {
		switch v := aws.ToString(o.OutputValue); aws.ToString(o.OutputKey) {
		case "ApiUrl":
			s.APIURL = v
		case "TableName":
			s.Table = v
		case "UserPoolId":
			s.UserPoolID = v
		}
	}
	if s.APIURL == "" || s.Table == "" || s.UserPoolID == "" {
		return Stack{}, fmt.Errorf("the stack %s lacks one of the outputs ApiUrl, TableName and UserPoolId: it is not one of these, or not deployed to the end", name)
	}
	return s, nil
}

// local reads what make local wrote into its data folder.
func local(data string) (Stack, error) {
	file := filepath.Join(data, "stack.json")
	text, err := os.ReadFile(file) //nolint:gosec // whoever calls says which
	if errors.Is(err, fs.ErrNotExist) {
		return Stack{}, fmt.Errorf("there is no %s, so make local does not run; name a deployed stack with STACK or STAGE", file)
	}
	if err != nil {
		return Stack{}, err
	}
	var info struct {
		StackName   string `json:"stack_name"`
		APIURL      string `json:"api_url"`
		AWSEndpoint string `json:"aws_endpoint"`
		Region      string `json:"region"`
		Table       string `json:"table"`
		UserPoolID  string `json:"user_pool_id"`
		Admin       Admin  `json:"admin"`
	}
	if err := json.Unmarshal(text, &info); err != nil {
		return Stack{}, fmt.Errorf("read %s: %w", file, err)
	}
	return Stack{
		Name: info.StackName, Region: info.Region, APIURL: info.APIURL, Table: info.Table, UserPoolID: info.UserPoolID,
		Admin: info.Admin, Data: data,
		cfg: aws.Config{
			Region:       info.Region,
			BaseEndpoint: &info.AWSEndpoint,
			Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
				return aws.Credentials{AccessKeyID: "any", SecretAccessKey: "any"}, nil
			}),
		},
	}, nil
}
