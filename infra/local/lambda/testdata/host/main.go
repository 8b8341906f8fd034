// Command host is a program for tests: it runs the function that its argument
// names, prints what that answers, and waits for its own end.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/tenantry/tenantry/infra/local/lambda"
)

func main() {
	r, err := lambda.New(lambda.Options{})
	if err != nil {
		panic(err)
	}
	if err := r.Register(lambda.Function{Name: "probe", Binary: os.Args[1]}); err != nil {
		panic(err)
	}
	res, err := r.Invoke(context.Background(), "probe", []byte(`{}`))
	if err != nil {
		panic(err)
	}
	fmt.Println(string(res.Payload))
	select {}
}
