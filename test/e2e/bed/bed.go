// Package bed drives test/bed: power cuts and cut cables of the nodes on which the tests' Kubernetes runs, and the S3 servers beside it.
package bed

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// Bed is the script.
type Bed struct {
	script string
}

// In the repository at root.
func In(root string) Bed { return Bed{filepath.Join(root, "test", "bed", "bed")} }

// Script is the path of the script, for callers that need its output as it comes.
func (b Bed) Script() string { return b.script }

// IsUp reports whether a bed is up.
func (b Bed) IsUp(ctx context.Context) bool { return b.run(ctx, "status") == nil }

// PowerCut ends a node at once: nothing is closed, its disk is kept.
func (b Bed) PowerCut(ctx context.Context, node string) error {
	return b.onNode(ctx, "node", "down", node)
}

// PowerOn starts a node again.
func (b Bed) PowerOn(ctx context.Context, node string) error {
	return b.onNode(ctx, "node", "up", node)
}

// WipeVolume empties a volume, by the name of its PersistentVolume, on the disk of a node that is down.
func (b Bed) WipeVolume(ctx context.Context, node, volume string) error {
	number, err := Number(node)
	if err != nil {
		return err
	}
	return b.run(ctx, "node", "wipe", strconv.Itoa(number), volume)
}

// CutCable lets everything that a node sends, and that is sent to it, vanish; it goes on running.
func (b Bed) CutCable(ctx context.Context, node string) error {
	return b.onNode(ctx, "link", "down", node)
}

// MendCable undoes CutCable.
func (b Bed) MendCable(ctx context.Context, node string) error {
	return b.onNode(ctx, "link", "up", node)
}

// TagImage gives an image that is on every node one more name.
func (b Bed) TagImage(ctx context.Context, image, name string) error {
	return b.run(ctx, "tag-image", image, name)
}

// KillContainer kills the first process of a container, by the id in its pod's status, on that node.
func (b Bed) KillContainer(ctx context.Context, node, container string) error {
	return b.signal(ctx, node, container, "KILL")
}

// FreezeContainer stops the first process of a container, as one that hangs: its ports take connections, and nobody answers. Its other processes go on.
func (b Bed) FreezeContainer(ctx context.Context, node, container string) error {
	return b.signal(ctx, node, container, "STOP")
}

// ThawContainer undoes FreezeContainer.
func (b Bed) ThawContainer(ctx context.Context, node, container string) error {
	return b.signal(ctx, node, container, "CONT")
}

// SignalProgram sends a signal (KILL, STOP, CONT) to those processes of a container that run a program, by the name that the kernel knows it by: at most 15 characters.
func (b Bed) SignalProgram(ctx context.Context, node, container, program, signal string) error {
	return b.signal(ctx, node, container, signal, program)
}

func (b Bed) signal(ctx context.Context, node, container, signal string, program ...string) error {
	number, err := Number(node)
	if err != nil {
		return err
	}
	return b.run(ctx, append([]string{"kill", strconv.Itoa(number), container, signal}, program...)...)
}

func (b Bed) onNode(ctx context.Context, what, direction, node string) error {
	number, err := Number(node)
	if err != nil {
		return err
	}
	return b.run(ctx, what, direction, strconv.Itoa(number))
}

// Number of a node by its Kubernetes name.
func Number(node string) (int, error) {
	number, ok := strings.CutPrefix(node, "node")
	n, err := strconv.Atoi(number)
	if !ok || err != nil || n < 1 {
		return 0, fmt.Errorf("%q is no node of a bed", node)
	}
	return n, nil
}

func (b Bed) run(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, b.script, args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("bed %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
