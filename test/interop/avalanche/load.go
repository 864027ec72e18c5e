package avalanche

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Promise is what a node has told of a transaction.
type Promise struct {
	Tx     string
	Node   int
	Mode   string
	Height uint64 // of mode executed
}

// Load are workers that submit transactions one after the other and note what they are told.
type Load struct {
	stop     context.CancelFunc
	done     sync.WaitGroup
	lock     sync.Mutex
	promises []Promise
	refused  map[string]int // why, and how often
	lastErr  error
}

// StartLoad starts workers, each at the node of its place; make makes a transaction. Half of the
// workers wait for mode executed, the others for certified.
func (c *Chain) StartLoad(nodes []int, workers int, makeTx func() []byte) *Load {
	ctx, cancel := context.WithCancel(context.Background())
	load := &Load{stop: cancel, refused: map[string]int{}}
	for i := range workers {
		mode := "executed"
		if i/len(nodes)%2 == 1 {
			mode = "certified"
		}
		load.done.Add(1)
		go load.work(ctx, c, nodes[i%len(nodes)], mode, makeTx)
	}
	return load
}

func (l *Load) work(ctx context.Context, c *Chain, node int, mode string, makeTx func() []byte) {
	defer l.done.Done()
	for ctx.Err() == nil {
		tx := makeTx()
		// Not cancelled with the others: what was sent is waited for.
		state, err := c.Submit(context.Background(), node, tx, mode)
		l.lock.Lock()
		var refusal *Refusal
		switch {
		case err == nil:
			l.promises = append(l.promises, Promise{TxID(tx), node, mode, state.Height.Value})
		case errors.As(err, &refusal):
			l.refused[refusal.Code]++
			l.lastErr = err
		default:
			l.refused["connection"]++
			l.lastErr = err
		}
		l.lock.Unlock()
		if err != nil {
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
}

// Count is how many promises there are by now.
func (l *Load) Count() int {
	l.lock.Lock()
	defer l.lock.Unlock()
	return len(l.promises)
}

// CountOf is the same, of one node.
func (l *Load) CountOf(node int) (count int) {
	l.lock.Lock()
	defer l.lock.Unlock()
	for _, promise := range l.promises {
		if promise.Node == node {
			count++
		}
	}
	return count
}

// String says how it went.
func (l *Load) String() string {
	l.lock.Lock()
	defer l.lock.Unlock()
	return fmt.Sprintf("%d promises, refused %v, last: %v", len(l.promises), l.refused, l.lastErr)
}

// Stop ends the workers and gives what was promised.
func (l *Load) Stop() []Promise {
	l.stop()
	l.done.Wait()
	return l.promises
}

// Keeps checks that every promise is kept on the nodes: the transaction was executed, on all at the
// same height and only there. It waits until ctx is over for what is only certified.
func (c *Chain) Keeps(ctx context.Context, nodes []int, from uint64, promises []Promise) error {
	for _, node := range nodes {
		at := map[string]uint64{}
		next := from
		err := wait(ctx, func() error {
			status, err := c.Status(node)
			if err != nil {
				return err
			}
			for ; next <= status.ExecutedHeight.Value; next++ {
				txs, err := c.Txs(ctx, node, next)
				if err != nil {
					return err
				}
				for _, tx := range txs {
					if before, ok := at[tx]; ok {
						return fmt.Errorf("node %d: %s ran at %d and at %d", node, tx, before, next)
					}
					at[tx] = next
				}
			}
			for _, promise := range promises {
				if height, ok := at[promise.Tx]; !ok {
					return fmt.Errorf("node %d at %d misses %s, %s by node %d", node, next-1,
						promise.Tx, promise.Mode, promise.Node)
				} else if promise.Mode == "executed" && height != promise.Height {
					return fmt.Errorf("node %d: %s ran at %d, node %d said %d", node, promise.Tx,
						height, promise.Node, promise.Height)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// SameRoots waits until all nodes have executed what the furthest of them had executed at the
// beginning, and compares blocks and state roots there. The height.
func (c *Chain) SameRoots(ctx context.Context, nodes []int) (uint64, error) {
	var height uint64
	for _, node := range nodes {
		status, err := c.Status(node)
		if err != nil {
			return 0, fmt.Errorf("node %d: %w", node, err)
		}
		height = max(height, status.ExecutedHeight.Value)
	}
	var first Block
	for i, node := range nodes {
		var block Block
		err := wait(ctx, func() (err error) {
			block, err = c.Block(ctx, node, height)
			if err == nil && block.Executed == nil {
				status, _ := c.Status(node)
				err = fmt.Errorf("node %d has executed %d of %d", node,
					status.ExecutedHeight.Value, height)
			}
			return err
		})
		if err != nil {
			return 0, err
		}
		if i == 0 {
			first = block
		} else if block.ID != first.ID || block.Executed.StateRoot != first.Executed.StateRoot {
			return 0, fmt.Errorf("height %d: node %d has %s with root %s, node %d %s with root %s",
				height, nodes[0], first.ID, first.Executed.StateRoot,
				node, block.ID, block.Executed.StateRoot)
		}
	}
	return height, nil
}
