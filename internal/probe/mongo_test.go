package probe_test

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"testing"

	"go.mongodb.org/mongo-driver/v2/bson"

	"github.com/tenantry/tenantry/internal/health"
)

// mongoServer speaks as much of MongoDB's wire protocol as a client needs that sends
// commands. It answers each by its name, and does not answer one that is not there.
func mongoServer(t *testing.T, answers map[string]bson.D) string {
	t.Helper()
	return listen(t, func(conn net.Conn) {
		for {
			var header struct{ Length, ID, To, Opcode int32 }
			if binary.Read(conn, binary.LittleEndian, &header) != nil {
				return
			}
			body := make([]byte, header.Length-16)
			if _, err := io.ReadFull(conn, body); err != nil {
				return
			}
			const query, reply, message = 2004, 1, 2013
			opcode, before := int32(message), make([]byte, 5) // flags, and the kind of what follows
			document := body[5:]
			if header.Opcode == query { // how a connection begins
				opcode, before = reply, append(make([]byte, 16), 1, 0, 0, 0)
				name := bytes.IndexByte(body[4:], 0)
				document = body[4+name+1+8:]
			}
			command, err := bson.Raw(document).IndexErr(0)
			if err != nil {
				return
			}
			answer, ok := answers[command.Key()]
			if !ok {
				continue
			}
			text, err := bson.Marshal(answer)
			if err != nil {
				return
			}
			out := binary.LittleEndian.AppendUint32(nil, uint32(16+len(before)+len(text))) //nolint:gosec // short
			for _, n := range []int32{1, header.ID, opcode} {
				out = binary.LittleEndian.AppendUint32(out, uint32(n)) //nolint:gosec // as it came
			}
			if _, err := conn.Write(append(append(out, before...), text...)); err != nil {
				return
			}
		}
	})
}

// TestMongoDBAfterItsPing has a server answer the ping, and then its version, a
// refusal, or nothing.
func TestMongoDBAfterItsPing(t *testing.T) {
	t.Parallel()
	ok := bson.D{{Key: "ok", Value: 1}}
	hello := bson.D{{Key: "ok", Value: 1}, {Key: "isWritablePrimary", Value: true}, {Key: "ismaster", Value: true}, {Key: "maxWireVersion", Value: 21}, {Key: "minWireVersion", Value: 0}}
	for name, test := range map[string]struct {
		version bson.D
		want    health.Component
	}{
		"its version": {bson.D{{Key: "ok", Value: 1}, {Key: "version", Value: "8.0.4"}}, health.Component{Status: health.Up, Version: "8.0.4"}},
		"a refusal":   {bson.D{{Key: "ok", Value: 0}, {Key: "code", Value: 13}, {Key: "errmsg", Value: "not authorized"}}, health.Component{Status: health.Up}},
		"nothing":     {nil, health.Component{Status: health.Down, Error: "no answer within 2s"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			answers := map[string]bson.D{"isMaster": hello, "ismaster": hello, "hello": hello, "ping": ok, "endSessions": ok}
			if test.version != nil {
				answers["buildInfo"] = test.version
			}
			got := probed(t, health.MongoDB, mongoServer(t, answers), health.Credentials{})
			if got.Status != test.want.Status || got.Version != test.want.Version || got.Error != test.want.Error {
				t.Errorf("got %+v, want %+v", got, test.want)
			}
		})
	}
}
