package probe

import (
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/redis/go-redis/v9"
	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"github.com/tenantry/tenantry/internal/health"
)

// invalidAuthorization is the class of errors in which PostgreSQL refuses a user
// (PostgreSQL, Appendix A).
const invalidAuthorization = "28"

// postgres asks a PostgreSQL server for its version.
func postgres(ctx context.Context, t health.Target, c health.Credentials) (health.Finding, error) {
	cfg, err := pgx.ParseConfig("sslmode=disable")
	if err != nil {
		return health.Finding{}, err
	}
	host, port, err := net.SplitHostPort(t.Address)
	if err != nil {
		return health.Finding{}, err
	}
	number, err := strconv.ParseUint(port, 10, 16)
	if err != nil {
		return health.Finding{}, err
	}
	cfg.Host, cfg.Port, cfg.User, cfg.Password, cfg.Database = host, uint16(number), c.Username, c.Password, c.Database
	cfg.TLSConfig, cfg.Fallbacks = tlsFor(t, c), nil
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok && strings.HasPrefix(refused.Code, invalidAuthorization) {
		return health.Finding{}, errPassword
	}
	if err != nil {
		return health.Finding{}, err
	}
	defer conn.Close(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	var version string
	err = conn.QueryRow(ctx, "SHOW server_version").Scan(&version)
	version, _, _ = strings.Cut(version, " ")
	return health.Finding{Version: version}, err
}

// A silent logger keeps what a driver says, addresses too, out of the log.
type silent struct{}

func (silent) Printf(context.Context, string, ...any) {}

var silence = sync.OnceFunc(func() { redis.SetLogger(silent{}) })

// redisServer sends PING to a Redis server, and asks for its version.
func redisServer(ctx context.Context, t health.Target, c health.Credentials) (health.Finding, error) {
	silence()
	client := redis.NewClient(&redis.Options{
		Addr: t.Address, Username: c.Username, Password: c.Password, TLSConfig: tlsFor(t, c),
		Protocol: 2, MaxRetries: -1, DialerRetries: 1, PoolSize: 1, ContextTimeoutEnabled: true, DisableIdentity: true,
	})
	defer client.Close() //nolint:errcheck // nothing was written
	if err := client.Ping(ctx).Err(); err != nil {
		if text := err.Error(); strings.HasPrefix(text, "WRONGPASS") || strings.HasPrefix(text, "NOAUTH") || strings.HasPrefix(text, "ERR AUTH") {
			return health.Finding{}, errPassword
		}
		return health.Finding{}, err
	}
	info, err := client.Info(ctx, "server").Result()
	if err != nil {
		return health.Finding{}, nil //nolint:nilerr // a user who may not ask for it is let in all the same
	}
	for line := range strings.SplitSeq(info, "\r\n") {
		if version, ok := strings.CutPrefix(line, "redis_version:"); ok {
			return health.Finding{Version: version}, nil
		}
	}
	return health.Finding{}, nil
}

// mongoDB sends ping to a MongoDB server, and asks for its version.
func mongoDB(ctx context.Context, t health.Target, c health.Credentials) (health.Finding, error) {
	o := options.Client().SetHosts([]string{t.Address}).SetDirect(true).SetTLSConfig(tlsFor(t, c)).
		SetServerSelectionTimeout(health.Patience * 3 / 4).SetRetryReads(false)
	if c.Username != "" {
		o.SetAuth(options.Credential{Username: c.Username, Password: c.Password, AuthSource: c.Database})
	}
	client, err := mongo.Connect(o)
	if err != nil {
		return health.Finding{}, err
	}
	defer client.Disconnect(context.WithoutCancel(ctx)) //nolint:errcheck // nothing was written
	database := client.Database("admin")
	if err := database.RunCommand(ctx, bson.D{{Key: "ping", Value: 1}}).Err(); err != nil {
		return health.Finding{}, mongoFailure(err)
	}
	var info struct {
		Version string `bson:"version"`
	}
	err = database.RunCommand(ctx, bson.D{{Key: "buildInfo", Value: 1}}).Decode(&info)
	if refused, ok := errors.AsType[mongo.CommandError](err); ok && refused.Code != 0 { // 0 is no server's
		return health.Finding{}, nil // a user who may not ask for it is let in all the same
	}
	return health.Finding{Version: info.Version}, err
}

// The codes of MongoDB's errors that refuse a user.
const (
	mongoUnauthorized         = 13
	mongoAuthenticationFailed = 18
)

// mongoFailure tells a refused user from the rest. What the driver says of a server
// that it could not choose holds the cause as a text alone.
func mongoFailure(err error) error {
	if refused, ok := errors.AsType[mongo.CommandError](err); ok && (refused.Code == mongoUnauthorized || refused.Code == mongoAuthenticationFailed) {
		return errPassword
	}
	if text := err.Error(); strings.Contains(text, "auth error") || strings.Contains(text, "Authentication failed") {
		return errPassword
	}
	return err
}
