// Command capture-worker captures pre-authorized card payments, each exactly
// once, and proves what happened. The commands are in internal/cli.
package main

import (
	"os"

	"github.com/capture-worker/capture-worker/internal/cli"
)

// version is set by the linker: -ldflags "-X main.version=v1.2.3".
var version string

func main() { os.Exit(cli.Main(version)) }
