package avalanche

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/ava-labs/avalanchego/config"
	"github.com/ava-labs/avalanchego/config/node"
)

// Ports is what a plugin writes of itself into ports.json.
type Ports struct {
	Pid    int    `json:"pid"`
	HTTP   uint16 `json:"http_port"`
	Submit uint16 `json:"submit_port"`
	Direct uint16 `json:"direct_port"`
}

func (n *Net) contextPath(place int) string {
	return filepath.Join(n.Nodes[place].DataDir, config.DefaultProcessContextFilename)
}

// Pid is the process of a node that was started.
func (n *Net) Pid(place int) (int, error) {
	encoded, err := os.ReadFile(n.contextPath(place))
	if err != nil {
		return 0, err
	}
	var process node.ProcessContext
	if err := json.Unmarshal(encoded, &process); err != nil {
		return 0, err
	}
	return process.PID, nil
}

// StartNode starts a node that was stopped or killed; it does not wait for its chains.
func (n *Net) StartNode(ctx context.Context, place int) error {
	return n.Nodes[place].Start(ctx)
}

// StopNode ends a node as an operator would and waits for it.
func (n *Net) StopNode(ctx context.Context, place int) error {
	return n.end(ctx, place, syscall.SIGTERM)
}

// KillNode kills a node by force and waits until it is gone, its plugins not included.
func (n *Net) KillNode(ctx context.Context, place int) error {
	return n.end(ctx, place, syscall.SIGKILL)
}

func (n *Net) end(ctx context.Context, place int, signal syscall.Signal) error {
	pid, err := n.Pid(place)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // not running
	} else if err != nil {
		return err
	}
	if err := syscall.Kill(pid, signal); err != nil && !errors.Is(err, syscall.ESRCH) {
		return err
	}
	err = wait(ctx, func() error {
		if IsRunning(pid) {
			return fmt.Errorf("process %d of node %d still runs", pid, place)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if err := os.Remove(n.contextPath(place)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// IsRunning also takes in the end of a child that nobody has waited for.
func IsRunning(pid int) bool {
	var status syscall.WaitStatus
	if waited, err := syscall.Wait4(pid, &status, syscall.WNOHANG, nil); err == nil && waited == pid {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z") && !strings.HasPrefix(rest, "X")
}

// Processes are those whose command line names a file below the network's directory: nodes and
// plugins, also plugins whose node is gone.
func (n *Net) Processes() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil || pid == os.Getpid() {
			continue
		}
		command, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err == nil && strings.Contains(string(command), n.Dir+"/") && IsRunning(pid) {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}

// Close stops all nodes; who does not follow is killed. An error if a process outlived its node.
func (n *Net) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var errs []error
	for place := range n.Nodes { // all at once
		if pid, err := n.Pid(place); err == nil {
			_ = syscall.Kill(pid, syscall.SIGCONT)
			_ = syscall.Kill(pid, syscall.SIGTERM)
		}
	}
	for place := range n.Nodes {
		if err := n.StopNode(ctx, place); err != nil {
			errs = append(errs, err)
		}
	}
	err := wait(ctx, func() error {
		pids, err := n.Processes()
		if err == nil && len(pids) > 0 {
			err = fmt.Errorf("processes %v outlived their nodes", pids)
		}
		return err
	})
	if err != nil {
		errs = append(errs, err)
	}
	pids, _ := n.Processes()
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	return errors.Join(errs...)
}
