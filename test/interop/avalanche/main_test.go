package avalanche

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// patience bounds each wait for a condition, so that a test that hangs ends; no test measures time.
const patience = 4 * time.Minute

// What tools/avalanche.sh has built.
var (
	avalanchego = os.Getenv("DSMR_AVALANCHEGO") // the node
	plugin      = os.Getenv("DSMR_PLUGIN")      // dsmr-avalanche
	otherPlugin = os.Getenv("DSMR_PLUGIN_44")   // the same, of another protocol version
	workDir     = os.Getenv("DSMR_WORK_DIR")    // of this run; removed by the script
)

// Networks that tests share; each is started by the first that needs it.
var (
	lone = shared{name: "lone"}
	five = shared{name: "five"}
	late = shared{name: "late"}
)

type shared struct {
	name  string
	spec  Spec
	net   *Net
	tried bool
	fails bool // a test has failed on it: those that follow would wait in vain
}

func TestMain(m *testing.M) {
	flag.Parse()
	if avalanchego == "" || plugin == "" || workDir == "" {
		fmt.Fprintln(os.Stderr, "run these tests by tools/avalanche.sh")
		os.Exit(1)
	}
	// CutOff puts filters on sockets, which those of multipath TCP do not take.
	_ = os.Setenv("GODEBUG", "multipathtcp=0")
	code := m.Run()
	for _, network := range []*shared{&lone, &five, &late} {
		if network.net == nil {
			continue
		}
		if err := network.net.Close(); err != nil {
			fmt.Fprintf(os.Stderr, "--- FAIL: the end of the network %s: %v\n", network.name, err)
			code = 1
		}
	}
	os.Exit(code)
}

func (s *shared) get(t *testing.T, spec func() Spec) *Net {
	t.Helper()
	if !s.tried {
		s.tried = true
		s.spec = spec()
		s.spec.AvalancheGo, s.spec.Plugin = avalanchego, plugin
		s.spec.Dir = filepath.Join(workDir, s.name)
		begin := time.Now()
		net, err := Start(patient(t), s.spec)
		s.net = net
		require.NoError(t, err)
		t.Logf("the network %s runs after %.1f s", s.name, time.Since(begin).Seconds())
	}
	if s.net == nil || len(s.net.Chains) == 0 || s.fails {
		t.Skip("the network did not start, or an earlier test failed on it")
	}
	t.Cleanup(func() {
		if t.Failed() && !s.fails {
			s.fails = true
			s.net.show(t)
		}
	})
	return s.net
}

// show logs what there is to look at after a failure: states, and the last lines of the logs.
func (n *Net) show(t *testing.T) {
	for i := range n.Nodes {
		for k, chain := range n.Chains {
			status, err := chain.Status(i)
			t.Logf("node %d, chain %d: %+v %v", i, k, status, err)
			lines := strings.Split(strings.TrimSpace(chain.Log(i)), "\n")
			for _, line := range lines[max(0, len(lines)-4):] {
				t.Logf("  %.160s", line)
			}
		}
	}
}

// cannot skips a test that this machine does not allow; where nothing may be skipped it fails, as in
// tools/avalanche.sh.
func cannot(t *testing.T, format string, args ...any) {
	t.Helper()
	if os.Getenv("CI") == "true" || os.Getenv("DSMR_NO_SKIPS") != "" {
		t.Fatalf("FAILED, for nothing may be skipped: "+format, args...)
	}
	t.Skipf("SKIPPED: "+format, args...)
}

func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// until waits for a condition.
func (n *Net) until(t *testing.T, try func() error) {
	t.Helper()
	require.NoError(t, wait(patient(t), try))
}

// back waits until a node that was started answers again.
func (n *Net) back(t *testing.T, node int) {
	t.Helper()
	n.until(t, func() error { return n.Answers(node) })
}

// agree waits until nodes have executed the same, and compares.
func (c *Chain) agree(t *testing.T, nodes ...int) uint64 {
	t.Helper()
	height, err := c.SameRoots(patient(t), nodes)
	require.NoError(t, err)
	return height
}

// executes submits one transaction to a node and waits until it has run there.
func (c *Chain) executes(t *testing.T, node int, tx []byte) TxState {
	t.Helper()
	var state TxState
	c.net.until(t, func() (err error) {
		state, err = c.Submit(context.Background(), node, tx, "executed")
		return err
	})
	require.Equal(t, "executed", state.State, "node %d", node)
	require.Equal(t, TxID(tx), state.Tx)
	return state
}

// height is what a node has executed.
func (c *Chain) height(t *testing.T, node int) uint64 {
	t.Helper()
	status, err := c.Status(node)
	require.NoError(t, err)
	return status.ExecutedHeight.Value
}

// under waits until a load has made so many promises more.
func (l *Load) under(t *testing.T, n *Net, more int) {
	t.Helper()
	goal := l.Count() + more
	n.until(t, func() error {
		if l.Count() < goal {
			return fmt.Errorf("the load stands: %s", l)
		}
		return nil
	})
}
