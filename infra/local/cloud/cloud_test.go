package cloud_test

import (
	"crypto/rand"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	cip "github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider"
	"github.com/aws/aws-sdk-go-v2/service/cognitoidentityprovider/types"

	"github.com/tenantry/tenantry/infra/local/cloud/cognito"
)

const callerIdentity = "Action=GetCallerIdentity&Version=2011-06-15"

func signature(key, region, service string) string {
	return "AWS4-HMAC-SHA256 Credential=" + key + "/20260101/" + region + "/" + service + "/aws4_request, SignedHeaders=host, Signature=0"
}

func TestRouting(t *testing.T) {
	echo := functions.register(func(event []byte) ([]byte, string) { return event, "" })
	activity := "a" + rand.Text() // what is made stays
	for name, test := range map[string]struct {
		method, path string
		header       map[string]string
		body         string
		status       int
		want         string // is part of the answer
	}{
		"DynamoDB": {
			"POST", "/",
			map[string]string{"X-Amz-Target": "DynamoDB_20120810.GetItem"},
			`{"TableName":"x"}`,
			200, `{"body":"{\"TableName\":\"x\"}","target":"DynamoDB_20120810.GetItem"}`,
		},
		"Lambda": {"POST", "/2015-03-31/functions/" + echo + "/invocations", nil, `{"a":1}`, 200, `{"a":1}`},
		"moto, any key": {
			"POST", "/",
			map[string]string{"Content-Type": "application/x-www-form-urlencoded", "Authorization": signature("ASIAANYTHING", "eu-west-1", "sts")},
			callerIdentity,
			200, "<Account>123456789012</Account>",
		},
		"moto, no other account": {
			"POST", "/",
			map[string]string{
				"Content-Type": "application/x-www-form-urlencoded", "Authorization": signature("AKIA", "eu-west-1", "sts"), "X-Moto-Account-Id": "210987654321",
			},
			callerIdentity,
			200, "<Account>123456789012</Account>",
		},
		"moto, the region": {
			"POST", "/",
			map[string]string{"X-Amz-Target": "AWSStepFunctions.CreateActivity", "Authorization": signature("AKIA", "eu-west-1", "states")},
			`{"name":"` + activity + `"}`,
			200, "arn:aws:states:eu-west-1:123456789012:activity:" + activity,
		},
		"keys of no pool":      {"GET", "/us-east-1_None/.well-known/jwks.json", nil, "", 400, "ResourceNotFoundException"},
		"schedule":             {"POST", "/_local/schedules/Sweeper", nil, "", 200, `"swept": 1`},
		"schedule that fails":  {"POST", "/_local/schedules/Broken", nil, "", 502, `"function_error": "Unhandled"`},
		"schedule not invoked": {"POST", "/_local/schedules/Failing", nil, "", 500, `"error": "no process"`},
		"no such schedule":     {"POST", "/_local/schedules/None", nil, "", 404, `"error": "no such schedule"`},
		"schedule by GET":      {"GET", "/_local/schedules/Sweeper", nil, "", 405, "only POST"},
		"mail by POST":         {"POST", "/_local/mail", nil, "", 405, "only GET"},
		"mail of nobody":       {"GET", "/_local/mail?to=nobody@example.com", nil, "", 200, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			status, answer, err := send(t, test.method, test.path, test.header, test.body)
			if err != nil {
				t.Fatal(err)
			}
			if status != test.status || !strings.Contains(answer, test.want) {
				t.Errorf("got %d %s, want %d with %s", status, answer, test.status, test.want)
			}
		})
	}
}

// TestUserPool signs somebody up, from the trigger to the mail.
func TestUserPool(t *testing.T) {
	c := cip.NewFromConfig(configuration())
	email := strings.ToLower(rand.Text()) + "@cloud.example.com"
	triggered := make(chan string, 1)
	arn := functions.register(func(event []byte) ([]byte, string) {
		triggered <- string(event)
		return event, ""
	})
	pool := must(c.CreateUserPool(t.Context(), &cip.CreateUserPoolInput{
		PoolName: new("pool"), AutoVerifiedAttributes: []types.VerifiedAttributeType{"email"}, LambdaConfig: &types.LambdaConfigType{PreSignUp: &arn},
	}))(t).UserPool.Id
	client := must(c.CreateUserPoolClient(t.Context(), &cip.CreateUserPoolClientInput{UserPoolId: pool, ClientName: new("client")}))(t).UserPoolClient.ClientId
	must(c.SignUp(t.Context(), &cip.SignUpInput{
		ClientId: client, Username: new("alice"), Password: new("Correct-horse-1"),
		UserAttributes: []types.AttributeType{{Name: new("email"), Value: &email}},
	}))(t)
	if event := <-triggered; !strings.Contains(event, `"triggerSource":"PreSignUp_SignUp"`) {
		t.Errorf("got event %s", event)
	}
	status, answer, err := send(t, http.MethodGet, "/_local/mail?to="+email, nil, "")
	if err != nil || status != http.StatusOK {
		t.Fatalf("got %d, %v", status, err)
	}
	var mails []cognito.Mail
	if err := json.Unmarshal([]byte(answer), &mails); err != nil {
		t.Fatal(err)
	}
	if len(mails) != 1 || mails[0].To != email || len(mails[0].Code) != 6 {
		t.Errorf("got %s, want a mail with a code", answer)
	}
	status, answer, err = send(t, http.MethodGet, "/"+*pool+"/.well-known/jwks.json", nil, "")
	if err != nil || status != http.StatusOK || strings.Count(answer, `"kty":"RSA"`) != 2 {
		t.Errorf("got %d %s, %v, want two keys", status, answer, err)
	}
}
