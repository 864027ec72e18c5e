package avalanche

import (
	"testing"

	"github.com/ava-labs/avalanchego/config"
)

// Blocks name a P-Chain height that is 30 s old, as AvalancheGo has it by itself; the other networks
// use the current one. All but the node that made the subnet have seen the P-Chain begin just now,
// so theirs is one without the subnet's validators: whoever of them builds a first block at once has
// the chain stand at height 1 for ever.
func TestLateHeights(t *testing.T) {
	net := late.get(t, func() Spec {
		return Spec{
			Nodes:  3,
			Beta:   beta,
			Flags:  map[string]string{config.ProposerVMUseCurrentHeightKey: "false"},
			Chains: []ChainSpec{{Genesis: Genesis(map[string]any{"name": "opaque"}, nil)}},
		}
	})
	chain := net.Chains[0]
	for node := range net.Nodes {
		chain.executes(t, node, random())
	}
	chain.agree(t, 0, 1, 2)
}
