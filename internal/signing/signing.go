// Package signing signs with keys that KMS keeps.
package signing

import (
	"context"
	"fmt"
	"sync"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/tenantry/tenantry/internal/audit"
)

// A Client is what this package uses of *kms.Client.
type Client interface {
	Sign(context.Context, *kms.SignInput, ...func(*kms.Options)) (*kms.SignOutput, error)
	GetPublicKey(context.Context, *kms.GetPublicKeyInput, ...func(*kms.Options)) (*kms.GetPublicKeyOutput, error)
}

// A Key is a pair of keys on the curve P-256. It is an audit.Signer.
type Key struct {
	client Client
	arn    string

	mu     sync.Mutex
	public []byte // read when it is first needed; it does not change
}

// NewKey returns the key with the given ARN.
func NewKey(client Client, arn string) *Key { return &Key{client: client, arn: arn} }

// Sign signs a statement of at most 4096 bytes.
func (k *Key) Sign(ctx context.Context, statement []byte) (audit.Signature, error) {
	public, err := k.publicKey(ctx)
	if err != nil {
		return audit.Signature{}, err
	}
	out, err := k.client.Sign(ctx, &kms.SignInput{
		KeyId:            &k.arn,
		Message:          statement,
		MessageType:      types.MessageTypeRaw,
		SigningAlgorithm: types.SigningAlgorithmSpecEcdsaSha256,
	})
	if err != nil {
		return audit.Signature{}, fmt.Errorf("sign with %s: %w", k.arn, err)
	}
	return audit.Signature{Value: out.Signature, PublicKey: public}, nil
}

func (k *Key) publicKey(ctx context.Context) ([]byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.public == nil {
		out, err := k.client.GetPublicKey(ctx, &kms.GetPublicKeyInput{KeyId: &k.arn})
		if err != nil {
			return nil, fmt.Errorf("read the public key of %s: %w", k.arn, err)
		}
		k.public = out.PublicKey
	}
	return k.public, nil
}
