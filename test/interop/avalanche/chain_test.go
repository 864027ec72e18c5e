package avalanche

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// The network of most tests: five validators and two chains, one on each data plane. A test leaves
// all nodes running.
const (
	money = 0 // application transfers, data plane avalanche
	data  = 1 // application opaque, data plane direct
	// Three times as fast as AvalancheGo's own, which the network of TestLone has.
	epoch = 10 * time.Second
	// With one of five validators silent, a poll of 20 is good (15) four times out of five. Twenty in
	// a row then take hundreds of polls, half a minute for one block.
	beta = 6
)

var (
	all          = []int{0, 1, 2, 3, 4}
	fiveAccounts []Account
)

func fiveNet(t *testing.T) (net *Net, transfers, opaque *Chain) {
	t.Helper()
	net = five.get(t, func() Spec {
		var err error
		fiveAccounts, err = NewAccounts(16)
		require.NoError(t, err)
		return Spec{
			Nodes: 5,
			Epoch: epoch,
			Beta:  beta,
			Chains: []ChainSpec{
				{Genesis: Genesis(TransfersApp(fiveAccounts, 1_000_000_000), nil)},
				{
					Genesis: Genesis(map[string]any{"name": "opaque"}, nil),
					Config: map[string]any{
						"data_plane": "direct", "http_listen": "127.0.0.1:0", "submit_listen": "127.0.0.1:0",
					},
				},
			},
		}
	})
	return net, net.Chains[money], net.Chains[data]
}

// pay makes a transfer between two of the accounts.
func pay(chain *Chain) func() []byte {
	return func() []byte {
		n := int(serial.Add(1))
		return chain.Transfer(fiveAccounts[n%16], fiveAccounts[(n+5)%16], 1)
	}
}

func random() []byte { return Opaque(512) }

func others(than ...int) (rest []int) {
	for _, node := range all {
		keep := true
		for _, one := range than {
			keep = keep && node != one
		}
		if keep {
			rest = append(rest, node)
		}
	}
	return rest
}

// Both applications through each node's chain API; what runs is the same everywhere.
func TestFiveThroughEachNode(t *testing.T) {
	_, transfers, opaque := fiveNet(t)
	receiver, err := NewAccounts(1)
	require.NoError(t, err)
	for _, node := range all {
		transfers.executes(t, node, transfers.Transfer(fiveAccounts[node], receiver[0], 100))
		opaque.executes(t, node, random())
	}
	transfers.agree(t, all...)
	opaque.agree(t, all...)
	for _, node := range all {
		var account struct {
			Balance string `json:"balance"`
		}
		require.NoError(t, transfers.Get(patient(t), node, "/v1/accounts/"+receiver[0].Address(), &account))
		require.Equal(t, "500", account.Balance, "node %d", node)
		status, err := opaque.Status(node)
		require.NoError(t, err)
		require.Equal(t, 5, status.Validators)
		require.True(t, status.IsValidator)
	}
}

// What the API refuses it refuses through AvalancheGo too.
func TestFiveRefusals(t *testing.T) {
	net, transfers, _ := fiveNet(t)
	ctx := patient(t)
	good := pay(transfers)()
	bad := append([]byte(nil), good...)
	bad[len(bad)-1] ^= 1
	_, err := transfers.Submit(ctx, 1, bad, "sync")
	require.ErrorContains(t, err, "400 bad_signature")
	_, err = transfers.Submit(ctx, 1, net.Chains[data].Transfer(fiveAccounts[0], fiveAccounts[1], 1), "sync")
	require.ErrorContains(t, err, "400 wrong_chain")
	require.ErrorContains(t, transfers.Get(ctx, 1, "/v1/block/99999999", nil), "404")
	require.ErrorContains(t, transfers.Get(ctx, 1, "/v1/tx/zz", nil), "400 bad_request")
	require.ErrorContains(t, transfers.Post(ctx, 1, "/v1/tx", strings.Repeat("x", 70_000), nil), "413")
}

// A node and its plugins are killed by force under load. Nobody loses what was told, and both come
// back.
func TestFiveKilledNode(t *testing.T) {
	for _, which := range []int{money, data} {
		t.Run(fmt.Sprint("chain", which), func(t *testing.T) {
			net, transfers, opaque := fiveNet(t)
			chain, makeTx := transfers, pay(transfers)
			if which == data {
				chain, makeTx = opaque, random
			}
			victim := 2 + which
			from := chain.height(t, 0)
			load := chain.StartLoad(all, 20, makeTx)
			load.under(t, net, 100)
			ports, err := chain.Ports(victim)
			require.NoError(t, err)
			require.True(t, IsRunning(ports.Pid))
			require.NoError(t, net.KillNode(patient(t), victim))
			net.until(t, func() error {
				if IsRunning(ports.Pid) {
					return fmt.Errorf("plugin %d outlives its node", ports.Pid)
				}
				return nil
			})
			load.under(t, net, 100) // by the others
			require.NoError(t, net.StartNode(patient(t), victim))
			net.back(t, victim)
			before := load.CountOf(victim)
			net.until(t, func() error { // and by the one that is back
				if load.CountOf(victim) < before+5 {
					return fmt.Errorf("nothing through node %d: %s", victim, load)
				}
				return nil
			})
			promises := load.Stop()
			t.Logf("%s", load)
			chain.agree(t, all...)
			require.NoError(t, chain.Keeps(patient(t), all, from, promises))
		})
	}
}

// A plugin is killed by force and its node is not. AvalancheGo does not start it again, and does
// not say that it is gone; it has to be restarted.
func TestFiveKilledPlugin(t *testing.T) {
	net, chain, opaque := fiveNet(t)
	const victim = 1
	from := chain.height(t, 0)
	load := chain.StartLoad(all, 10, pay(chain))
	load.under(t, net, 50)
	ports, err := chain.Ports(victim)
	require.NoError(t, err)
	require.NoError(t, syscall.Kill(ports.Pid, syscall.SIGKILL))
	net.until(t, func() error {
		if IsRunning(ports.Pid) {
			return fmt.Errorf("plugin %d still runs", ports.Pid)
		}
		return nil
	})
	opaque.executes(t, 0, random()) // the other chain of the node is not concerned
	opaque.executes(t, victim, random())
	again, err := chain.Ports(victim)
	require.NoError(t, err)
	require.Equal(t, ports.Pid, again.Pid, "AvalancheGo starts a plugin again: say so in the docs")
	require.NoError(t, net.KillNode(patient(t), victim))
	require.NoError(t, net.StartNode(patient(t), victim))
	net.back(t, victim)
	promises := load.Stop()
	t.Logf("%s", load)
	chain.agree(t, all...)
	require.NoError(t, chain.Keeps(patient(t), all, from, promises))
}

// A node that has lost its disk bootstraps and executes all blocks again.
func TestFiveWipedNode(t *testing.T) {
	net, transfers, opaque := fiveNet(t)
	const victim = 4
	require.NoError(t, net.StopNode(patient(t), victim))
	for _, name := range []string{"db", "chainData"} {
		require.NoError(t, os.RemoveAll(filepath.Join(net.Nodes[victim].DataDir, name)))
	}
	transfers.executes(t, 0, pay(transfers)()) // four of five go on
	require.NoError(t, net.StartNode(patient(t), victim))
	net.back(t, victim)
	for _, chain := range []*Chain{transfers, opaque} {
		t.Logf("all of %d blocks again", chain.agree(t, all...))
	}
	transfers.executes(t, victim, pay(transfers)())
	opaque.executes(t, victim, random())
}

// Only the plugin's data is lost: AvalancheGo has the blocks, and follows the plugin back.
func TestFiveWipedPlugin(t *testing.T) {
	net, transfers, opaque := fiveNet(t)
	const victim = 3
	require.NoError(t, net.StopNode(patient(t), victim))
	require.NoError(t, os.RemoveAll(filepath.Join(net.Nodes[victim].DataDir, "chainData")))
	require.NoError(t, net.StartNode(patient(t), victim))
	net.back(t, victim)
	for _, chain := range []*Chain{transfers, opaque} {
		t.Logf("all of %d blocks again", chain.agree(t, all...))
	}
	transfers.executes(t, victim, pay(transfers)())
	opaque.executes(t, victim, random())
}

// Only AvalancheGo's database is lost: the plugin is ahead of it, and runs nothing twice.
func TestFiveWipedDatabase(t *testing.T) {
	net, transfers, opaque := fiveNet(t)
	const victim = 2
	from := transfers.height(t, 0)
	require.NoError(t, net.StopNode(patient(t), victim))
	require.NoError(t, os.RemoveAll(filepath.Join(net.Nodes[victim].DataDir, "db")))
	state := transfers.executes(t, 0, pay(transfers)())
	require.NoError(t, net.StartNode(patient(t), victim))
	net.back(t, victim)
	for _, chain := range []*Chain{transfers, opaque} {
		chain.agree(t, all...)
	}
	require.NoError(t, transfers.Keeps(patient(t), all, from,
		[]Promise{{state.Tx, 0, "executed", state.Height.Value}}))
	transfers.executes(t, victim, pay(transfers)())
	opaque.executes(t, victim, random())
}

// A node that stands still for a while catches up.
func TestFiveSlowNode(t *testing.T) {
	net, transfers, _ := fiveNet(t)
	const victim = 4
	from := transfers.height(t, 0)
	pid, err := net.Pid(victim)
	require.NoError(t, err)
	ports, err := transfers.Ports(victim)
	require.NoError(t, err)
	stop := []int{pid, ports.Pid}
	for _, pid := range stop {
		require.NoError(t, syscall.Kill(pid, syscall.SIGSTOP))
	}
	goOn := func() {
		for _, pid := range stop {
			_ = syscall.Kill(pid, syscall.SIGCONT)
		}
	}
	t.Cleanup(goOn)
	load := transfers.StartLoad(others(victim), 10, pay(transfers))
	load.under(t, net, 200)
	goOn()
	promises := load.Stop()
	transfers.agree(t, all...)
	require.NoError(t, transfers.Keeps(patient(t), all, from, promises))
	transfers.executes(t, victim, pay(transfers)())
}

// A node is cut off from its peers, on both data planes, and sees them again. What it was given
// meanwhile, which nobody could certify, runs then.
func TestFivePartitionedNode(t *testing.T) {
	net, transfers, opaque := fiveNet(t)
	const victim = 3
	ctx := patient(t)
	from, fromOpaque := transfers.height(t, 0), opaque.height(t, 0)
	cut, err := net.CutOff(ctx, victim)
	if errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSYS) {
		cannot(t, "cutting connections of other processes is not allowed here: %v", err)
	}
	require.NoError(t, err)
	healed := false
	t.Cleanup(func() {
		if !healed {
			_ = cut.Heal()
		}
	})
	alone, aloneOpaque := pay(transfers)(), random()
	_, err = transfers.Submit(ctx, victim, alone, "sync")
	require.NoError(t, err)
	_, err = opaque.Submit(ctx, victim, aloneOpaque, "sync")
	require.NoError(t, err)
	load := transfers.StartLoad(others(victim), 8, pay(transfers))
	loadOpaque := opaque.StartLoad(others(victim), 8, random)
	load.under(t, net, 40)
	loadOpaque.under(t, net, 40)
	for chain, tx := range map[*Chain][]byte{transfers: alone, opaque: aloneOpaque} {
		state, err := chain.Tx(ctx, victim, TxID(tx))
		require.NoError(t, err)
		require.Contains(t, []string{"pending", "in_chunk"}, state.State)
	}
	net.until(t, func() error {
		there, here := transfers.height(t, victim), transfers.height(t, 0)
		if here <= there {
			return fmt.Errorf("height %d, and %d on the other side", here, there)
		}
		return nil
	})
	promises, promisesOpaque := load.Stop(), loadOpaque.Stop()
	t.Logf("%d connections were shut down", cut.Shut)
	healed = true
	require.NoError(t, cut.Heal())
	for chain, tx := range map[*Chain][]byte{transfers: alone, opaque: aloneOpaque} {
		net.until(t, func() error {
			state, err := chain.Tx(ctx, victim, TxID(tx))
			// On a slow machine its time may be over by now.
			if err == nil && state.State != "executed" && state.State != "expired" {
				err = fmt.Errorf("%+v", state)
			}
			return err
		})
	}
	transfers.executes(t, victim, pay(transfers)())
	opaque.executes(t, victim, random())
	transfers.agree(t, all...)
	opaque.agree(t, all...)
	require.NoError(t, transfers.Keeps(ctx, all, from, promises))
	require.NoError(t, opaque.Keeps(ctx, all, fromOpaque, promisesOpaque))
}
