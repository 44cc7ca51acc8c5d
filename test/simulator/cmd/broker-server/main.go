// Command broker-server is the RobustMQ simulator as a program: RobustMQ's flags, files and signals, nothing of RobustMQ in it. It is packed into test images only.
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/robustmq/robustmq-operator/test/simulator"
)

const usage = `RobustMQ SIMULATOR (a test program, not RobustMQ)

Usage: broker-server [OPTIONS]

Options:
  -c, --conf <CONF>  broker server config file path [default: config/server.toml]
  -h, --help         Print help
  -V, --version      Print version
`

func main() { os.Exit(run(os.Args[1:])) }

func run(args []string) int {
	conf := "config/server.toml"
	for i := 0; i < len(args); i++ {
		name, value, hasValue := strings.Cut(args[i], "=")
		switch name {
		case "-h", "--help":
			fmt.Print(usage)
			return 0
		case "-V", "--version":
			fmt.Printf("robustmq %s (simulator)\n", simulator.VersionOf("."))
			return 0
		case "-c", "--conf":
			if !hasValue {
				i++
				if i >= len(args) {
					fmt.Fprintf(os.Stderr, "error: a value is required for '%s <CONF>' but none was supplied\n", name)
					return 2
				}
				value = args[i]
			}
			conf = value
		default:
			fmt.Fprintf(os.Stderr, "error: unexpected argument '%s' found\n\n%s", args[i], usage)
			return 2
		}
	}
	var seed [8]byte
	_, _ = rand.Read(seed[:])
	node, err := simulator.New(simulator.Options{
		ConfigPath: conf, Environ: os.Environ(), Seed: binary.LittleEndian.Uint64(seed[:]), Stdout: os.Stdout, Stderr: os.Stderr, PID1: os.Getpid() == 1,
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 101
	}
	signals := make(chan os.Signal, 4)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		for s := range signals {
			node.Signal(s)
		}
	}()
	return node.Run(context.Background()).Code
}
