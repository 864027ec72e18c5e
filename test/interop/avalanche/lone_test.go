package avalanche

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// manyBlocks are made by the lone validator, to be bootstrapped by one who joins.
const manyBlocks = 1500

var loneAccounts []Account

func loneNet(t *testing.T) *Net {
	t.Helper()
	return lone.get(t, func() Spec {
		var err error
		loneAccounts, err = NewAccounts(8)
		require.NoError(t, err)
		return Spec{
			Nodes: 1,
			Epoch: 10 * time.Second,
			Chains: []ChainSpec{{
				Genesis: Genesis(TransfersApp(loneAccounts, 1_000_000_000), map[string]any{"slot_ms": 10}),
				Config:  map[string]any{"http_listen": "127.0.0.1:0"},
			}},
			Others: map[string]string{"dsmr44": otherPlugin},
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

// A node joins a chain of many blocks, bootstraps them all, becomes a validator and goes again.
func TestJoin(t *testing.T) {
	net := loneNet(t)
	chain := net.Chains[0]
	load := chain.StartLoad([]int{0}, 6, func() []byte {
		return chain.Transfer(loneAccounts[0], loneAccounts[1], 1)
	})
	begin, from := time.Now(), chain.height(t, 0)
	net.until(t, func() error {
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
	t.Logf("a validator with the same root after %.1f s", time.Since(begin).Seconds())
	require.NoError(t, chain.Keeps(patient(t), []int{0, joined}, from, promises))
	chain.executes(t, joined, chain.Transfer(loneAccounts[4], loneAccounts[5], 1))
	chain.agree(t, 0, joined)
}
