package signing_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/tenantry/tenantry/internal/signing"
)

const arn = "arn:aws:kms:eu-west-1:123456789012:key/K"

// A client plays KMS with a key of its own.
type client struct {
	key       *ecdsa.PrivateKey
	signFails error
	readFails error
	reads     int
}

func (c *client) Sign(_ context.Context, in *kms.SignInput, _ ...func(*kms.Options)) (*kms.SignOutput, error) {
	if *in.KeyId != arn || in.MessageType != types.MessageTypeRaw || in.SigningAlgorithm != types.SigningAlgorithmSpecEcdsaSha256 {
		return nil, errors.New("another key, or another algorithm")
	}
	sum := sha256.Sum256(in.Message)
	value, err := ecdsa.SignASN1(rand.Reader, c.key, sum[:])
	return &kms.SignOutput{Signature: value}, errors.Join(err, c.signFails)
}

func (c *client) GetPublicKey(_ context.Context, in *kms.GetPublicKeyInput, _ ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error) {
	if *in.KeyId != arn {
		return nil, errors.New("another key")
	}
	c.reads++
	public, err := x509.MarshalPKIXPublicKey(&c.key.PublicKey)
	return &kms.GetPublicKeyOutput{PublicKey: public}, errors.Join(err, c.readFails)
}

func TestSign(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &client{key: key, readFails: errors.New("no network")}
	k := signing.NewKey(c, arn)
	if _, err := k.Sign(t.Context(), []byte("statement")); !errors.Is(err, c.readFails) {
		t.Errorf("got %v, want that the key cannot be read", err)
	}
	c.readFails = nil
	for range 2 {
		got, err := k.Sign(t.Context(), []byte("statement"))
		if err != nil {
			t.Fatal(err)
		}
		public, err := x509.ParsePKIXPublicKey(got.PublicKey)
		sum := sha256.Sum256([]byte("statement"))
		if err != nil || !ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), sum[:], got.Value) {
			t.Errorf("the signature is not good (%v)", err)
		}
	}
	if c.reads != 2 {
		t.Errorf("the public key was read %d times, want once more after it failed", c.reads)
	}
	c.signFails = errors.New("throttled")
	if _, err := k.Sign(t.Context(), []byte("statement")); !errors.Is(err, c.signFails) {
		t.Errorf("got %v, want that nothing was signed", err)
	}
}
