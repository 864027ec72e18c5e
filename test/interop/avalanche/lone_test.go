package avalanche

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/ava-labs/avalanchego/wallet/subnet/primary/common"
)

// manyBlocks are made by the lone validator, to be bootstrapped by one who joins: more than one
// message of AvalancheGo holds (2000 ancestors).
const manyBlocks = 2100

// otherName is the VM of otherPlugin.
const otherName = "dsmr44"

// ownEpoch is AvalancheGo's own, which this network keeps.
const ownEpoch = 30 * time.Second

var loneAccounts []Account

func loneNet(t *testing.T) *Net {
	t.Helper()
	return lone.get(t, func() Spec {
		var err error
		loneAccounts, err = NewAccounts(8)
		require.NoError(t, err)
		return Spec{
			Nodes: 1,
			Epoch: 0, // ownEpoch
			Chains: []ChainSpec{{
				Genesis: Genesis(TransfersApp(loneAccounts, 1_000_000_000), map[string]any{"slot_ms": 10}),
				Config:  map[string]any{"http_listen": "127.0.0.1:0"},
			}},
			Others: map[string]string{otherName: otherPlugin},
		}
	})
}

// One validator with sybil protection on: it is the quorum.
func TestLoneValidator(t *testing.T) {
	net := loneNet(t)
	chain := net.Chains[0]
	status, err := chain.Status(0)
	require.NoError(t, err)
	require.Equal(t, "avalanchego", status.Engine)
	for i := range 5 {
		chain.executes(t, 0, chain.Transfer(loneAccounts[i], loneAccounts[i+1], 7))
	}
	status, err = chain.Status(0)
	require.NoError(t, err)
	require.Equal(t, 1, status.Validators)
	require.True(t, status.IsValidator)
	require.GreaterOrEqual(t, status.ExecutedHeight.Value, uint64(2))
	var account struct {
		Balance string `json:"balance"`
	}
	require.NoError(t, chain.Get(patient(t), 0, "/v1/accounts/"+loneAccounts[5].Address(), &account))
	require.Equal(t, "1000000007", account.Balance)
}

// says waits until the log of a chain holds text.
func (n *Net) says(t *testing.T, chain *Chain, node int, text string) {
	t.Helper()
	n.until(t, func() error {
		if log := chain.Log(node); !strings.Contains(log, text) {
			return fmt.Errorf("%q is not in the log: ...%s", text, log[max(0, len(log)-600):])
		}
		return nil
	})
}

// A wrong config fails Initialize with a sentence in the chain's log; a right one brings it back.
func TestLoneWrongConfig(t *testing.T) {
	net := loneNet(t)
	chain := net.Chains[0]
	height := chain.agree(t, 0)
	spec := net.Network.Subnets[0].Chains[0]
	right := spec.Config
	for config, sentence := range map[string]string{
		`{"data_plane":"pigeons"}`: `error plugin: config: data_plane must be "avalanche" or "direct"`,
		`{"worker":2}`:             `error plugin: config: "worker" is not a key`,
		`{`:                        `error plugin: config: line 1:`,
	} {
		spec.Config = config
		require.NoError(t, net.StopNode(patient(t), 0))
		require.NoError(t, net.StartNode(patient(t), 0))
		net.says(t, chain, 0, sentence)
		net.until(t, func() error { // only the node is left
			pids, err := net.Processes()
			if err == nil && len(pids) != 1 {
				err = fmt.Errorf("processes %v", pids)
			}
			return err
		})
	}
	spec.Config = right
	require.NoError(t, net.StopNode(patient(t), 0))
	require.NoError(t, net.StartNode(patient(t), 0))
	net.back(t, 0)
	require.GreaterOrEqual(t, chain.agree(t, 0), height)
}

// A plugin of another protocol version is refused, says so, and is gone; the node goes on without.
func TestLoneOtherProtocol(t *testing.T) {
	net := loneNet(t)
	log, err := os.ReadFile(filepath.Join(net.Nodes[0].DataDir, "logs", "main.log"))
	require.NoError(t, err)
	other := vmID(otherName).String()
	require.Contains(t, string(log), "failed to register VM")
	require.Contains(t, string(log), other)
	factory, err := os.ReadFile(filepath.Join(net.Nodes[0].DataDir, "logs", "vm-factory.log"))
	require.NoError(t, err)
	require.Contains(t, string(factory), "does not take this plugin")
	pids, err := net.Processes()
	require.NoError(t, err)
	for _, pid := range pids {
		command, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		require.NotContains(t, string(command), other)
	}
}

// The node is killed by force: nobody says Shutdown to the plugin, and it ends.
func TestLoneVanishedNode(t *testing.T) {
	net := loneNet(t)
	require.NoError(t, net.KillNode(patient(t), 0))
	net.until(t, func() error {
		pids, err := net.Processes()
		if err == nil && len(pids) > 0 {
			err = fmt.Errorf("processes %v are left", pids)
		}
		return err
	})
	require.NoError(t, net.StartNode(patient(t), 0))
	net.back(t, 0)
}

// A node joins a chain of many blocks, bootstraps them all, becomes a validator and goes again.
func TestLoneJoin(t *testing.T) {
	net := loneNet(t)
	chain := net.Chains[0]
	load := chain.StartLoad([]int{0}, 6, func() []byte {
		return chain.Transfer(loneAccounts[0], loneAccounts[1], 1)
	})
	begin, from := time.Now(), chain.height(t, 0)
	var bumped time.Time
	net.until(t, func() error {
		if time.Since(bumped) > ownEpoch/4 { // P-Chain blocks make the epochs differ
			bumped = time.Now()
			require.NoError(t, net.BumpPChain(patient(t), 0))
		}
		status, err := chain.Status(0)
		if err == nil && status.ExecutedHeight.Value < manyBlocks {
			err = fmt.Errorf("height %d, %s", status.ExecutedHeight.Value, load)
		}
		return err
	})
	promises := load.Stop()
	t.Logf("%d transfers in %d blocks in %.1f s", len(promises), chain.height(t, 0)-from,
		time.Since(begin).Seconds())

	begin = time.Now()
	joined, err := net.AddNode(patient(t))
	require.NoError(t, err)
	net.back(t, joined)
	net.until(t, func() error {
		status, err := chain.Status(joined)
		if err == nil && status.Height.Value < manyBlocks {
			err = fmt.Errorf("%+v", status)
		}
		return err
	})
	t.Logf("all blocks bootstrapped after %.1f s", time.Since(begin).Seconds())

	// It validates nothing yet: it has the blocks, executes none, and says why (decision 014).
	net.says(t, chain, joined, "this node accepts blocks and executes none")
	var refusal *Refusal
	require.ErrorAs(t, chain.Get(patient(t), joined, "/health", nil), &refusal)
	require.Contains(t, refusal.Text, `"not_served"`)
	_, err = chain.Submit(patient(t), joined, chain.Transfer(loneAccounts[2], loneAccounts[3], 1), "sync")
	require.ErrorAs(t, err, &refusal)
	require.Equal(t, "not_producing", refusal.Code)

	require.NoError(t, net.AddValidator(patient(t), 0, joined))
	net.until(t, func() error {
		_ = net.BumpPChain(patient(t), 0)
		chain.executes(t, 0, chain.Transfer(loneAccounts[2], loneAccounts[3], 1))
		status, err := chain.Status(joined)
		if err == nil && !status.IsValidator {
			err = fmt.Errorf("%+v", status)
		}
		return err
	})
	chain.agree(t, 0, joined)
	net.says(t, chain, joined, "this node gets the chunks that it waited for")
	t.Logf("a validator with the same root after %.1f s", time.Since(begin).Seconds())
	require.NoError(t, chain.Keeps(patient(t), []int{0, joined}, from, promises))
	chain.executes(t, joined, chain.Transfer(loneAccounts[4], loneAccounts[5], 1))

	// The set has changed with an epoch, and those of this network are as long as AvalancheGo's own.
	changes, old, shortest := chain.epochs(t, joined, 1, chain.agree(t, 0, joined))
	t.Logf("%d changes of epoch, the shortest after %s, %d certificates of an older one", changes,
		shortest, old)
	require.GreaterOrEqual(t, changes, 2) // from none to the first, and to the one with two
	require.Positive(t, old)
	require.Greater(t, shortest, ownEpoch-2*time.Second) // AvalancheGo counts whole seconds
}

// The same for genesis, on chains of their own; the good one goes on. This test is the last: after a
// restart AvalancheGo lets no chain of a subnet begin before all of them are bootstrapped.
func TestLoneWrongGenesis(t *testing.T) {
	net := loneNet(t)
	wallet, err := net.Network.Subnets[0].GetWallet(patient(t), net.Nodes[0].GetAccessibleURI())
	require.NoError(t, err)
	for genesis, sentence := range map[string]string{
		`{"format":1,"time_ms":1767225600000,"app":{"name":"chess"}}`:                      `genesis: app.name "chess" is not known`,
		`{"format":1,"time_ms":1577836800000,"app":{"name":"opaque"}}`:                     `genesis: time_ms is before 1607144400000`,
		`{"format":1,"time_ms":1767225600001,"app":{"name":"opaque"}}`:                     `genesis: time_ms must be whole seconds`,
		`{"format":1,"time_ms":1767225600000,"app":{"name":"opaque"},"network_id":1}`:      `genesis: genesis has an unknown key "network_id"`,
		`{"format":1,"time_ms":1767225600000,"params":{"slot":1},"app":{"name":"opaque"}}`: `genesis: params.slot is not a parameter`,
		"\x00\x01\x02": `genesis: line 1:`,
	} {
		tx, err := wallet.P().IssueCreateChainTx(net.subnetID(), []byte(genesis), VMID(), nil, "bad",
			common.WithContext(patient(t)))
		require.NoError(t, err)
		net.says(t, &Chain{net: net, ID: tx.ID()}, 0, "error plugin: "+sentence)
	}
	chain := net.Chains[0]
	chain.executes(t, 0, chain.Transfer(loneAccounts[0], loneAccounts[1], 1))
}
