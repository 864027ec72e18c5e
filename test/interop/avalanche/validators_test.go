package avalanche

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// The chain is used while epochs change. The first blocks of a new epoch hold certificates of the
// one before, for nothing else can be certified by then.
func TestFiveEpochs(t *testing.T) {
	net, chain, _ := fiveNet(t)
	ctx := patient(t)
	from := chain.height(t, 0)
	load := chain.StartLoad(all, 10, pay(chain))
	seen := map[uint64]bool{}
	ticker := time.NewTicker(epoch / 4) // of P-Chain blocks, which make the epochs differ
	defer ticker.Stop()
	for len(seen) < 4 {
		select {
		case <-ctx.Done():
			t.Fatalf("epochs %v, %s", seen, load)
		case <-ticker.C:
		}
		require.NoError(t, net.BumpPChain(ctx, 0))
		status, err := chain.Status(1)
		require.NoError(t, err)
		if status.Epoch.IsSet {
			seen[status.Epoch.Value] = true
		}
	}
	promises := load.Stop()
	to := chain.agree(t, all...)
	require.NoError(t, chain.Keeps(ctx, all, from, promises))
	changes, old, _ := chain.epochs(t, 0, from, to)
	t.Logf("%d transfers in %d blocks, %d changes of epoch, %d certificates of an older one",
		len(promises), to-from, changes, old)
	require.GreaterOrEqual(t, changes, 2)
	require.Positive(t, old)
}

// epochs counts the changes of epoch between two heights and the certificates of older ones, and has
// the shortest time from a change to the next. An epoch begins at the time of its first block's parent.
func (c *Chain) epochs(t *testing.T, node int, from, to uint64) (int, int, time.Duration) {
	t.Helper()
	changes, old, shortest := 0, 0, time.Duration(math.MaxInt64)
	before, err := c.Block(patient(t), node, from)
	require.NoError(t, err)
	var since uint64
	for height := from + 1; height <= to; height++ {
		block, err := c.Block(patient(t), node, height)
		require.NoError(t, err)
		if block.Epoch != before.Epoch {
			if changes > 0 {
				shortest = min(shortest, time.Duration(before.Time.Value-since)*time.Millisecond)
			}
			changes++
			since = before.Time.Value
		}
		for _, cert := range block.Certs {
			if cert.Epoch != block.Epoch {
				old++
			}
		}
		before = block
	}
	return changes, old, shortest
}

// The opaque chain has rested for two epochs, and then it is used, through each node.
func TestFiveIdleChain(t *testing.T) {
	net, transfers, opaque := fiveNet(t)
	opaque.agree(t, all...)
	last, err := opaque.Block(patient(t), 0, opaque.height(t, 0))
	require.NoError(t, err)
	net.until(t, func() error {
		transfers.executes(t, 0, pay(transfers)())
		if rest := time.Since(time.UnixMilli(int64(last.Time.Value))); rest < 2*epoch {
			return fmt.Errorf("it has rested for %s", rest)
		}
		return net.BumpPChain(patient(t), 0)
	})
	status, err := opaque.Status(0)
	require.NoError(t, err)
	require.Equal(t, last.Height, status.Height, "a chain with nothing to do makes no blocks")
	for _, node := range all {
		opaque.executes(t, node, random())
	}
	// The first block still is of the old epoch: AvalancheGo opens a new one by its parent's time.
	block, err := opaque.Block(patient(t), 0, opaque.agree(t, all...))
	require.NoError(t, err)
	require.Greater(t, block.Epoch.Value, last.Epoch.Value)
}

// A validator is taken out of the subnet; the others go on.
func TestFiveRemovedValidator(t *testing.T) {
	net, transfers, opaque := fiveNet(t)
	const removed = 4
	require.NoError(t, net.RemoveValidator(patient(t), 0, removed))
	net.until(t, func() error {
		transfers.executes(t, 0, pay(transfers)())
		opaque.executes(t, 1, random())
		for _, chain := range []*Chain{transfers, opaque} {
			if status, err := chain.Status(0); err != nil || status.Validators != 4 {
				return fmt.Errorf("%+v %w", status, err)
			}
		}
		return nil
	})
	for _, node := range others(removed) {
		transfers.executes(t, node, pay(transfers)())
		opaque.executes(t, node, random())
	}
	transfers.agree(t, others(removed)...)
	opaque.agree(t, others(removed)...)
}
