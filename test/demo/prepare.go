package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/robustmq/robustmq-operator/test/e2e/bed"
)

const tools = "test/tools/run"

// prepare compiles, starts the bed, and goes on inside its network.
func prepare(ctx context.Context, s settings, n *narrator, nodes int) error {
	if os.Getuid() != 0 {
		return errors.New("starting a Kubernetes on this machine needs root (Linux, cgroup v1); or use one that you have: DEMO_CLUSTER=current make demo")
	}
	script := bed.In(".").Script()
	took, err := n.step("Compile what a Kubernetes consists of, MinIO, and the tools (the first time about 13 minutes; later they are found in the cache)", func() error {
		if err := command(ctx, n.detail(), script, "build"); err != nil {
			return err
		}
		for _, tool := range []string{"images", "kustomize"} {
			if err := command(ctx, n.detail(), tools, "--path", tool); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.Compiling += took

	took, err = n.step("Compile the operator, the agent and the "+serverName(s)+", and make images of them", func() error {
		archives, err := images(ctx, n.detail(), s.Server != "")
		s.Archives = archives
		return err
	})
	if err != nil {
		return err
	}
	s.Compiling += took

	if _, err := n.step(fmt.Sprintf("Start a Kubernetes of %d nodes on this machine (test/bed)", nodes), func() error {
		return command(ctx, n.detail(), script, "up", strconv.Itoa(nodes))
	}); err != nil {
		return err
	}
	if _, err := n.step("Start MinIO beside it, for backups", func() error {
		return command(ctx, n.detail(), script, "minio")
	}); err != nil {
		return err
	}
	if _, err := n.step("Load the images", func() error {
		return command(ctx, n.detail(), script, append([]string{"load-image"}, s.Archives...)...)
	}); err != nil {
		return err
	}

	self, err := os.Executable()
	if err != nil {
		return err
	}
	state, err := json.Marshal(s)
	if err != nil {
		return err
	}
	// From here on inside the network namespace in which the API server and the pods can be reached.
	cmd := exec.CommandContext(ctx, script, "exec", self, "-inside", string(state))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return &shownError{err}
	}
	return err
}

func serverName(s settings) string {
	if s.Server != "" {
		return "server " + s.Server
	}
	return "simulator"
}

// images builds the project's images, and that of the local server where there is one, and returns the archives.
func images(ctx context.Context, w io.Writer, server bool) ([]string, error) {
	calls := [][]string{{"images", "build"}}
	if server {
		calls = append(calls, []string{"images", "build", "robustmq"})
	}
	var archives []string
	for _, args := range calls {
		var out bytes.Buffer
		cmd := exec.CommandContext(ctx, tools, args...)
		cmd.Stdout, cmd.Stderr = &out, w
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%s %s: %w", tools, strings.Join(args, " "), err)
		}
		archives = append(archives, strings.Fields(out.String())...)
	}
	return archives, nil
}

// command runs a program and shows what it says on standard error; what it prints is of no interest here.
func command(ctx context.Context, w io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Stderr = w
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", name, strings.Join(args, " "), err)
	}
	return nil
}
