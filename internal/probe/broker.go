package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	sasl "github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/tenantry/tenantry/internal/health"
)

// kafka asks for the brokers of a Kafka cluster. Their number stands for its
// version, which brokers do not tell.
func kafka(ctx context.Context, t health.Target, c health.Credentials) (health.Finding, error) {
	o := []kgo.Opt{
		kgo.SeedBrokers(strings.Split(t.Address, ",")...), kgo.RequestRetries(0), kgo.RetryTimeout(health.Patience), kgo.DialTimeout(health.Patience),
	}
	if c.TLS {
		o = append(o, kgo.DialTLS())
	}
	if c.Username != "" {
		o = append(o, kgo.SASL(sasl.Auth{User: c.Username, Pass: c.Password}.AsMechanism()))
	}
	client, err := kgo.NewClient(o...)
	if err != nil {
		return health.Finding{}, err
	}
	defer client.Close()
	request := kmsg.NewPtrMetadataRequest()
	request.Topics = []kmsg.MetadataRequestTopic{} // none, rather than all
	answer, err := request.RequestWith(ctx, client)
	if errors.Is(err, kerr.SaslAuthenticationFailed) {
		return health.Finding{}, errPassword
	}
	if c.Username != "" && errors.Is(err, io.EOF) { // as some brokers answer a wrong password, and those that want none
		return health.Finding{}, errPassword
	}
	if err != nil {
		return health.Finding{}, err
	}
	switch n := len(answer.Brokers); n {
	case 0:
		return health.Finding{}, errStrange(health.Kafka)
	case 1:
		return health.Finding{Version: "1 broker"}, nil
	default:
		return health.Finding{Version: fmt.Sprintf("%d brokers", n)}, nil
	}
}
