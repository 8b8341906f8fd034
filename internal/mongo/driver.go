package mongo

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readconcern"
	"go.mongodb.org/mongo-driver/v2/mongo/writeconcern"
)

const (
	// callWithin is how long a call may take, with the choice of a server.
	callWithin = 10 * time.Second
	// chooseWithin is how long the choice of a server may take.
	chooseWithin = 5 * time.Second
	// connections is how many a function has: it does one thing at a time.
	connections = 2
)

// tagID is the id of the document that is the tag.
const tagID = "database"

// The codes of MongoDB's errors that are no failures (src/mongo/base/error_codes.yml
// of its sources).
const (
	codeUserNotFound    = 11
	codeNamespaceGone   = 26
	codeNamespaceExists = 48
	codeUserExists      = 51003
)

// A Driver is a Server that is reached over the network.
type Driver struct {
	connection func(context.Context) (string, error)

	mu     sync.Mutex
	uri    string
	client *mongo.Client
}

// NewDriver returns the server at the address that connection gives, a connection
// string with who we are there. It is asked for each time, as it may have been
// rotated.
func NewDriver(connection func(context.Context) (string, error)) *Driver {
	return &Driver{connection: connection}
}

// database returns a database of the server. What an error of the driver tells of
// connection strings may be the string itself.
func (d *Driver) database(ctx context.Context, name string) (*mongo.Database, error) {
	uri, err := d.connection(ctx)
	if err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.client != nil && d.uri == uri {
		return d.client.Database(name), nil
	}
	o := options.Client().ApplyURI(uri).
		SetTimeout(callWithin).SetServerSelectionTimeout(chooseWithin).SetMaxPoolSize(connections).
		SetWriteConcern(writeconcern.Majority()).SetReadConcern(readconcern.Majority())
	client, err := mongo.Connect(o)
	if err != nil {
		return nil, errors.New("the connection string of the MongoDB server is none")
	}
	if d.client != nil {
		_ = d.client.Disconnect(ctx) // whose address is another by now
	}
	d.uri, d.client = uri, client
	return client.Database(name), nil
}

// A tagDocument is a Tag as it is stored.
type tagDocument struct {
	Tenant        string `bson:"tenant"`
	Operation     string `bson:"operation"`
	Attempt       int    `bson:"attempt"`
	SchemaVersion int    `bson:"schema_version"`
}

// Collections returns the names of the collections of a database.
func (d *Driver) Collections(ctx context.Context, database string) ([]string, error) {
	db, err := d.database(ctx, database)
	if err != nil {
		return nil, err
	}
	names, err := db.ListCollectionNames(ctx, bson.D{})
	return names, failure("list the collections of database "+database, err)
}

// Tag returns the tag of a database, or ErrNoTag.
func (d *Driver) Tag(ctx context.Context, database string) (Tag, error) {
	db, err := d.database(ctx, database)
	if err != nil {
		return Tag{}, err
	}
	var tag tagDocument
	err = db.Collection(tagCollection).FindOne(ctx, bson.D{{Key: "_id", Value: tagID}}).Decode(&tag)
	if errors.Is(err, mongo.ErrNoDocuments) {
		return Tag{}, ErrNoTag
	}
	return Tag(tag), failure("read the tag of database "+database, err)
}

// Claim gives a database a tag by one write: that which is another's has the id, and
// is not found by tenant and operation.
func (d *Driver) Claim(ctx context.Context, database string, t Tag) (Tag, error) {
	db, err := d.database(ctx, database)
	if err != nil {
		return Tag{}, err
	}
	var tag tagDocument
	err = db.Collection(tagCollection).FindOneAndUpdate(ctx,
		bson.D{{Key: "_id", Value: tagID}, {Key: "tenant", Value: t.Tenant}, {Key: "operation", Value: t.Operation}},
		bson.D{
			{Key: "$max", Value: bson.D{{Key: "attempt", Value: t.Attempt}}},
			{Key: "$setOnInsert", Value: bson.D{{Key: "schema_version", Value: t.SchemaVersion}}},
		},
		options.FindOneAndUpdate().SetUpsert(true).SetReturnDocument(options.After),
	).Decode(&tag)
	if mongo.IsDuplicateKeyError(err) {
		return Tag{}, d.taken(ctx, database, t)
	}
	return Tag(tag), failure("tag database "+database, err)
}

// taken tells whether a tag that was in the way is another's, or was written by
// another call of ours at the same time.
func (d *Driver) taken(ctx context.Context, database string, t Tag) error {
	tag, err := d.Tag(ctx, database)
	if err != nil {
		return err
	}
	if tag.Tenant == t.Tenant && tag.Operation == t.Operation {
		return errors.New("database " + database + " was tagged by another call at the same time")
	}
	return ErrTaken
}

// SetSchemaVersion writes into the tag how far the database is migrated.
func (d *Driver) SetSchemaVersion(ctx context.Context, database string, version int) error {
	db, err := d.database(ctx, database)
	if err != nil {
		return err
	}
	_, err = db.Collection(tagCollection).UpdateByID(ctx, tagID, bson.D{{Key: "$max", Value: bson.D{{Key: "schema_version", Value: version}}}})
	return failure("write the schema version of database "+database, err)
}

// CreateCollection makes a collection, unless it is there.
func (d *Driver) CreateCollection(ctx context.Context, database, name string) error {
	db, err := d.database(ctx, database)
	if err != nil {
		return err
	}
	err = db.CreateCollection(ctx, name)
	if hasCode(err, codeNamespaceExists) {
		return nil
	}
	return failure("make collection "+database+"."+name, err)
}

// CreateIndexes makes indexes, unless they are there.
func (d *Driver) CreateIndexes(ctx context.Context, database, collection string, indexes []Index) error {
	db, err := d.database(ctx, database)
	if err != nil {
		return err
	}
	var models []mongo.IndexModel
	for _, index := range indexes {
		var keys bson.D
		for _, key := range index.Keys {
			keys = append(keys, bson.E{Key: key.Field, Value: key.Order})
		}
		o := options.Index().SetName(index.Name)
		if index.Unique {
			o.SetUnique(true)
		}
		if index.Where != "" {
			o.SetPartialFilterExpression(bson.D{{Key: index.Where, Value: bson.D{{Key: "$exists", Value: true}}}})
		}
		models = append(models, mongo.IndexModel{Keys: keys, Options: o})
	}
	_, err = db.Collection(collection).Indexes().CreateMany(ctx, models)
	return failure("index collection "+database+"."+collection, err)
}

// CreateUser makes a user who may read and write the database.
func (d *Driver) CreateUser(ctx context.Context, database, name, password string) error {
	err := d.user(ctx, database, bson.D{{Key: "createUser", Value: name}, {Key: "pwd", Value: password}, roles(database)})
	if hasCode(err, codeUserExists) {
		return ErrTaken
	}
	return failure("make the user of database "+database, err)
}

// UpdateUser gives a user what CreateUser gives.
func (d *Driver) UpdateUser(ctx context.Context, database, name, password string) error {
	err := d.user(ctx, database, bson.D{{Key: "updateUser", Value: name}, {Key: "pwd", Value: password}, roles(database)})
	return failure("change the user of database "+database, err)
}

// DropUser removes a user, unless there is none.
func (d *Driver) DropUser(ctx context.Context, database, name string) error {
	err := d.user(ctx, database, bson.D{{Key: "dropUser", Value: name}})
	if hasCode(err, codeUserNotFound) {
		return nil
	}
	return failure("remove the user of database "+database, err)
}

func roles(database string) bson.E {
	return bson.E{Key: "roles", Value: bson.A{bson.D{{Key: "role", Value: "readWrite"}, {Key: "db", Value: database}}}}
}

// user runs a command about a user. The driver adds no write concern to commands.
func (d *Driver) user(ctx context.Context, database string, command bson.D) error {
	db, err := d.database(ctx, database)
	if err != nil {
		return err
	}
	command = append(command, bson.E{Key: "writeConcern", Value: bson.D{{Key: "w", Value: "majority"}}})
	return db.RunCommand(ctx, command).Err()
}

// DropCollection removes a collection, unless there is none.
func (d *Driver) DropCollection(ctx context.Context, database, name string) error {
	db, err := d.database(ctx, database)
	if err != nil {
		return err
	}
	err = db.Collection(name).Drop(ctx)
	if hasCode(err, codeNamespaceGone) {
		return nil
	}
	return failure("drop collection "+database+"."+name, err)
}

// DropDatabase removes a database, unless there is none.
func (d *Driver) DropDatabase(ctx context.Context, database string) error {
	db, err := d.database(ctx, database)
	if err != nil {
		return err
	}
	return failure("drop database "+database, db.Drop(ctx))
}

// failure says what an error was of.
func failure(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}

func hasCode(err error, code int) bool {
	refused, ok := errors.AsType[mongo.ServerError](err)
	return ok && refused.HasErrorCode(code)
}
