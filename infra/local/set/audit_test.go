package set

import (
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/tenantry/tenantry/internal/audit"
	"github.com/tenantry/tenantry/internal/dynamo"
)

// The sweeper seals what a tenant's members do, and KMS signs it.
func TestAuditIsSealed(t *testing.T) {
	c := newClient(t, common)
	id, username, _, password := c.signUp()
	c.signIn(username, password).active(id)
	records := dynamo.NewAudit(dynamo.NewTable(dynamodb.NewFromConfig(awsConfig(common)), common.Info().Table))
	var head audit.Head
	swept(t, common, func() bool {
		var err error
		if head, err = records.Head(t.Context(), audit.Stream(id)); err != nil {
			t.Fatal(err)
		}
		return head.Seq > 0
	})
	out, err := kms.NewFromConfig(awsConfig(common)).GetPublicKey(t.Context(), &kms.GetPublicKeyInput{KeyId: new(common.Outputs()["AuditKeyArn"])})
	if err != nil {
		t.Fatal(err)
	}
	if string(out.PublicKey) != string(head.PublicKey) {
		t.Error("the head holds another public key than that of KMS")
	}
	key, err := x509.ParsePKIXPublicKey(out.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	text, err := head.Statement()
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(text)
	if !ecdsa.VerifyASN1(key.(*ecdsa.PublicKey), sum[:], head.Value) {
		t.Errorf("the signature of %s is not good", text)
	}
}
