package avalanche

import (
	"context"
	"sort"
	"sync"
	"time"

	"github.com/ava-labs/avalanchego/ids"
	"github.com/ava-labs/avalanchego/utils/crypto/secp256k1"
	"github.com/ava-labs/avalanchego/vms/example/xsvm/api"
	"github.com/ava-labs/avalanchego/vms/example/xsvm/genesis"
	"github.com/ava-labs/avalanchego/vms/example/xsvm/tx"
)

// ExampleVM is the name of AvalancheGo's own example VM. A chain of it on the same network says what
// harness and machine allow to any VM.
const ExampleVM = "xsvm"

// Example is a chain of that VM and the accounts that may spend on it.
type Example struct {
	Chain *Chain
	keys  []*secp256k1.PrivateKey
}

// NewExample makes accounts, and the chain that has to be started with them.
func NewExample(accounts int) (*Example, ChainSpec, error) {
	example := &Example{}
	described := genesis.Genesis{Timestamp: time.Now().Unix()}
	for range accounts {
		key, err := secp256k1.NewPrivateKey()
		if err != nil {
			return nil, ChainSpec{}, err
		}
		example.keys = append(example.keys, key)
		described.Allocations = append(described.Allocations,
			genesis.Allocation{Address: key.Address(), Balance: balanceOfExample})
	}
	raw, err := genesis.Codec.Marshal(genesis.CodecVersion, &described)
	return example, ChainSpec{VM: ExampleVM, Raw: raw}, err
}

const balanceOfExample = 1_000_000_000

// ExampleResult is what a load measured.
type ExampleResult struct {
	Accepted int
	Blocks   int
	Seconds  float64
	P50, P99 time.Duration // from a transfer's sending to the node's word that it is accepted
}

// Load lets so many accounts send a transfer each, to all nodes, for the VM does not pass them on,
// and the next one when that is accepted; pause is how often they ask.
func (e *Example) Load(ctx context.Context, accounts int, lasts, pause time.Duration) (ExampleResult, error) {
	before, err := e.height(ctx)
	if err != nil {
		return ExampleResult{}, err
	}
	begin := time.Now()
	loading, cancel := context.WithTimeout(ctx, lasts)
	defer cancel()
	var (
		lock  sync.Mutex
		all   []time.Duration
		first error
		users sync.WaitGroup
	)
	for i := range accounts {
		users.Add(1)
		go func() {
			defer users.Done()
			times, err := e.spend(loading, i, pause)
			lock.Lock()
			defer lock.Unlock()
			all = append(all, times...)
			if err != nil && loading.Err() == nil && first == nil {
				first = err
			}
		}()
	}
	users.Wait()
	result := ExampleResult{Accepted: len(all), Seconds: time.Since(begin).Seconds()}
	after, err := e.height(ctx)
	if first == nil {
		first = err
	}
	result.Blocks = int(after - before)
	if len(all) > 0 {
		sort.Slice(all, func(a, b int) bool { return all[a] < all[b] })
		result.P50, result.P99 = all[len(all)/2], all[len(all)*99/100]
	}
	return result, first
}

func (e *Example) client(node int) *api.Client {
	return api.NewClient(e.Chain.net.Nodes[node].GetAccessibleURI(), e.Chain.ID.String())
}

func (e *Example) height(ctx context.Context) (uint64, error) {
	_, block, err := e.client(0).LastAccepted(ctx)
	if err != nil {
		return 0, err
	}
	return block.Height, nil
}

// spend sends one account's transfers until ctx is over: how long each took.
func (e *Example) spend(ctx context.Context, account int, pause time.Duration) ([]time.Duration, error) {
	var times []time.Duration
	key := e.keys[account]
	home := e.client(account % len(e.Chain.net.Nodes))
	nonce, err := home.Nonce(ctx, key.Address())
	for ; err == nil; nonce++ {
		signed, err := tx.Sign(&tx.Transfer{ChainID: e.Chain.ID, Nonce: nonce, AssetID: e.Chain.ID,
			Amount: 1, To: ids.ShortID{1}}, key)
		if err != nil {
			return times, err
		}
		sent := time.Now()
		for node := range e.Chain.net.Nodes {
			if _, err := e.client(node).IssueTx(ctx, signed); err != nil {
				return times, err
			}
		}
		for at := nonce; at <= nonce; {
			time.Sleep(pause)
			if at, err = home.Nonce(ctx, key.Address()); err != nil {
				return times, err
			}
		}
		times = append(times, time.Since(sent))
	}
	return times, err
}
