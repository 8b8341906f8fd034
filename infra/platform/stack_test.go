package platform_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tenantry/tenantry/infra/platform"
)

// cloudFormation answers as CloudFormation does for one stack with the outputs, and
// notes the region that requests are signed for.
func cloudFormation(t *testing.T, name string, outputs map[string]string) (region *string) {
	t.Helper()
	region = new(string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(body))
		if scope := strings.Split(r.Header.Get("Authorization"), "/"); len(scope) > 2 {
			*region = scope[2]
		}
		w.Header().Set("Content-Type", "text/xml")
		if form.Get("Action") != "DescribeStacks" || form.Get("StackName") != name {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack with id %s does not exist</Message></Error></ErrorResponse>`, form.Get("StackName"))
			return
		}
		_, _ = fmt.Fprintf(w, `<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>%s</StackName><Outputs>`, name)
		for k, v := range outputs {
			_, _ = fmt.Fprintf(w, `<member><OutputKey>%s</OutputKey><OutputValue>%s</OutputValue></member>`, k, v)
		}
		_, _ = io.WriteString(w, `</Outputs></member></Stacks></DescribeStacksResult></DescribeStacksResponse>`)
	}))
	t.Cleanup(server.Close)
	for variable, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_REGION": "eu-central-1", "AWS_ACCESS_KEY_ID": "any", "AWS_SECRET_ACCESS_KEY": "any",
		"AWS_PROFILE": "", "AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	} {
		t.Setenv(variable, value)
	}
	return region
}

func TestFindDeployed(t *testing.T) {
	region := cloudFormation(t, "tenantry-dev", map[string]string{
		"ApiUrl": "https://api.example.com", "TableName": "the-table", "UserPoolId": "eu-central-1_pool", "ClientId": "client",
	})
	samconfig := filepath.Join("..", "..", "samconfig.toml")
	for name, test := range map[string]struct {
		choice       platform.Choice
		region, fail string
	}{
		"by name":       {platform.Choice{Name: "tenantry-dev"}, "eu-central-1", ""},
		"by stage":      {platform.Choice{Stage: "dev", SAMConfig: samconfig}, "us-east-1", ""},
		"another stack": {platform.Choice{Name: "another"}, "eu-central-1", "Stack with id another does not exist"},
		"another stage": {platform.Choice{Stage: "another", SAMConfig: samconfig}, "", "has no stack for the stage another"},
		"no stage":      {platform.Choice{Stage: "default", SAMConfig: samconfig}, "", "has no stack for the stage default"},
	} {
		t.Run(name, func(t *testing.T) {
			*region = ""
			s, err := test.choice.Find(t.Context())
			if test.fail != "" {
				if err == nil || !strings.Contains(err.Error(), test.fail) {
					t.Errorf("got %v, want %s", err, test.fail)
				}
			} else if err != nil || s.Name != "tenantry-dev" || s.APIURL != "https://api.example.com" || s.Table != "the-table" || s.UserPoolID != "eu-central-1_pool" {
				t.Errorf("got %+v, %v", s, err)
			}
			if *region != test.region {
				t.Errorf("it asked in %q, want %q", *region, test.region)
			}
		})
	}
}

func TestFindWhatIsNotOurs(t *testing.T) {
	cloudFormation(t, "other", map[string]string{"ApiUrl": "https://api.example.com"})
	if _, err := (platform.Choice{Name: "other"}).Find(t.Context()); err == nil || !strings.Contains(err.Error(), "lacks one of the outputs") {
		t.Errorf("got %v", err)
	}
}
