// Command broken does not start.
package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Println("cannot start: it is broken")
	os.Exit(1)
}
