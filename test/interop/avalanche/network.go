// Package avalanche runs dsmr-avalanche under unmodified AvalancheGo nodes on this machine.
package avalanche

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/ava-labs/avalanchego/api/info"
	"github.com/ava-labs/avalanchego/config"
	"github.com/ava-labs/avalanchego/ids"
	"github.com/ava-labs/avalanchego/snow/consensus/snowball"
	"github.com/ava-labs/avalanchego/tests/fixture/tmpnet"
	"github.com/ava-labs/avalanchego/upgrade"
	"github.com/ava-labs/avalanchego/utils/crypto/secp256k1"
	"github.com/ava-labs/avalanchego/utils/logging"
)

// VMName, padded with zeros, is the id of the VM; its CB58 form is the plugin's file name.
const VMName = "dsmr"

// VMID is the id under which AvalancheGo looks for the plugin.
func VMID() ids.ID {
	return vmID(VMName)
}

func vmID(name string) (id ids.ID) {
	copy(id[:], name)
	return id
}

// ChainSpec is one chain of the network.
type ChainSpec struct {
	VM      string // "": VMName
	Raw     []byte // the genesis of another VM, as it is
	Genesis map[string]any
	Config  map[string]any // nil: defaults
}

// Spec says what network to start.
type Spec struct {
	Nodes       int // all of them validate the chains; 1 does so alone
	Chains      []ChainSpec
	AvalancheGo string            // path of the node's binary
	Plugin      string            // path of dsmr-avalanche
	Others      map[string]string // further plugins, which no chain uses: name to path
	Dir         string            // of the network; made
	Epoch       time.Duration     // how long the P-Chain heights of blocks stay; 0: 30 s
	Beta        int               // Snow's: so many good polls in a row; 0: 20, AvalancheGo's own
	Flags       tmpnet.FlagsMap
}

// Net is a network that runs. Nodes are named by their place.
type Net struct {
	Network *tmpnet.Network
	Nodes   []*tmpnet.Node
	Chains  []*Chain
	Dir     string // of the Spec
	log     logging.Logger
}

// Start starts the network and waits until its chains answer on every node. The network that is
// returned with an error has to be closed as well; it may be nil.
func Start(ctx context.Context, spec Spec) (*Net, error) {
	plugins, err := makePlugins(spec)
	if err != nil {
		return nil, err
	}
	// tmpnet writes below the home directory.
	if err := os.Setenv("HOME", spec.Dir); err != nil {
		return nil, err
	}
	network, err := describe(spec, plugins)
	if err != nil {
		return nil, err
	}
	logFile, err := os.OpenFile(filepath.Join(spec.Dir, "tmpnet.log"),
		os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	net := &Net{
		Network: network,
		Nodes:   network.Nodes,
		Dir:     spec.Dir,
		log: logging.NewLogger("",
			logging.NewWrappedCore(logging.Info, logFile, logging.Plain.ConsoleEncoder())),
	}
	dir := filepath.Join(spec.Dir, "network")
	if spec.Nodes == 1 {
		err = net.startAlone(ctx, dir)
	} else {
		err = tmpnet.BootstrapNewNetwork(ctx, net.log, network, dir)
	}
	if err != nil {
		return net, err
	}
	for _, chain := range network.Subnets[0].Chains {
		net.Chains = append(net.Chains, &Chain{net: net, ID: chain.ChainID, isOurs: chain.VMID == VMID()})
	}
	return net, wait(ctx, func() error {
		for i := range net.Nodes {
			if err := net.Answers(i); err != nil {
				return err
			}
		}
		return nil
	})
}

// olderBy is in seconds: enough gas for a subnet and its chains.
const olderBy = 10

func makePlugins(spec Spec) (string, error) {
	plugins := filepath.Join(spec.Dir, "plugins")
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		return "", err
	}
	all := map[string]string{VMName: spec.Plugin}
	for name, path := range spec.Others {
		all[name] = path
	}
	for name, path := range all {
		target := filepath.Join(plugins, vmID(name).String())
		if err := os.Remove(target); err != nil && !os.IsNotExist(err) {
			return "", err
		}
		if err := os.Symlink(path, target); err != nil {
			return "", err
		}
	}
	return plugins, nil
}

func makeFlags(spec Spec) (tmpnet.FlagsMap, error) {
	flags := tmpnet.DefaultE2EFlags()
	flags[config.LogLevelKey] = "info"
	flags[config.IndexEnabledKey] = "false"
	flags[config.FdLimitKey] = "8192"
	flags[config.NetworkInitialTimeoutKey] = "500ms"
	flags[config.NetworkMinimumTimeoutKey] = "500ms"
	flags[config.SystemTrackerRequiredAvailableDiskSpacePercentageKey] = "0"
	if spec.Epoch != 0 {
		upgrades := upgrade.Default
		upgrades.GraniteEpochDuration = spec.Epoch
		encoded, err := json.Marshal(upgrades)
		if err != nil {
			return nil, err
		}
		flags[config.UpgradeFileContentKey] = base64.StdEncoding.EncodeToString(encoded)
	}
	for name, value := range spec.Flags {
		flags[name] = value
	}
	return flags, nil
}

// snowParameters are AvalancheGo's own but for beta.
func snowParameters(beta int) tmpnet.ConfigMap {
	parameters := snowball.DefaultParameters
	parameters.Beta = beta
	return tmpnet.ConfigMap{"snowParameters": parameters}
}

func describe(spec Spec, plugins string) (*tmpnet.Network, error) {
	flags, err := makeFlags(spec)
	if err != nil {
		return nil, err
	}
	nodes := tmpnet.NewNodesOrPanic(spec.Nodes)
	subnet := &tmpnet.Subnet{Name: VMName, ValidatorIDs: tmpnet.NodesToIDs(nodes...)}
	if spec.Beta != 0 {
		subnet.Config = snowParameters(spec.Beta)
	}
	for _, chain := range spec.Chains {
		vm, genesis := VMID(), chain.Raw
		if chain.VM != "" {
			vm = vmID(chain.VM)
		} else if genesis, err = json.Marshal(chain.Genesis); err != nil {
			return nil, err
		}
		chainConfig := ""
		if chain.Config != nil {
			encoded, err := json.Marshal(chain.Config)
			if err != nil {
				return nil, err
			}
			chainConfig = string(encoded)
		}
		key, err := secp256k1.NewPrivateKey()
		if err != nil {
			return nil, err
		}
		subnet.Chains = append(subnet.Chains, &tmpnet.Chain{
			VMID:         vm,
			Genesis:      genesis,
			Config:       chainConfig,
			PreFundedKey: key,
		})
	}
	network := &tmpnet.Network{
		Owner:        VMName,
		Nodes:        nodes,
		DefaultFlags: flags,
		DefaultRuntimeConfig: tmpnet.NodeRuntimeConfig{Process: &tmpnet.ProcessRuntimeConfig{
			AvalancheGoPath: spec.AvalancheGo,
			PluginDir:       plugins,
		}},
		Subnets: []*tmpnet.Subnet{subnet},
	}
	return network, makeOlder(network)
}

// makeOlder has the network begin a little before now. The gas that the P-Chain's transactions may
// take starts at nothing and grows with each second of its time: a node that is ready within the
// second in which its network began refuses to create the subnet.
func makeOlder(network *tmpnet.Network) (err error) {
	network.PreFundedKeys, err = tmpnet.NewPrivateKeys(tmpnet.DefaultPreFundedKeyCount)
	if err != nil {
		return err
	}
	network.Genesis, err = network.DefaultGenesis()
	if err != nil {
		return err
	}
	network.Genesis.StartTime -= olderBy
	return nil
}

// startAlone starts one validator. tmpnet would switch sybil protection off for it, and then there
// are no validator sets; with it the node never becomes healthy, for it hears of nobody, but works.
func (n *Net) startAlone(ctx context.Context, dir string) error {
	node := n.Nodes[0]
	node.Flags[config.SybilProtectionEnabledKey] = "true"
	if err := n.Network.EnsureDefaultConfig(ctx, n.log); err != nil {
		return err
	}
	if err := n.Network.Create(dir); err != nil {
		return err
	}
	if err := n.Network.StartNode(ctx, node); err != nil {
		return err
	}
	err := wait(ctx, func() error {
		client := info.NewClient(node.GetAccessibleURI())
		for _, chain := range []string{"P", "X"} {
			if ok, err := client.IsBootstrapped(ctx, chain); err != nil || !ok {
				return errors.Join(fmt.Errorf("the %s-Chain is not bootstrapped", chain), err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if _, err := n.Network.CreateSubnets(ctx, n.log, node); err != nil {
		return err
	}
	if err := n.StopNode(ctx, 0); err != nil {
		return err
	}
	return n.StartNode(ctx, 0)
}

// AddNode starts one more node, which follows the chains and validates nothing yet; its place.
func (n *Net) AddNode(ctx context.Context) (int, error) {
	node := tmpnet.NewEphemeralNode(tmpnet.FlagsMap{
		config.SybilProtectionEnabledKey: "true",
		config.TrackSubnetsKey:           n.Network.Subnets[0].SubnetID.String(),
	})
	place := len(n.Nodes)
	n.Nodes = append(n.Nodes, node)
	return place, n.Network.StartNode(ctx, node)
}

// Answers is nil if the chains answer on a node: they do once they are bootstrapped.
func (n *Net) Answers(node int) error {
	for _, chain := range n.Chains {
		if !chain.isOurs {
			continue
		}
		if _, err := chain.Status(node); err != nil {
			return fmt.Errorf("node %d: %w", node, err)
		}
	}
	return nil
}

// wait asks again until try is content or ctx is over.
func wait(ctx context.Context, try func() error) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %w", ctx.Err(), err)
		case <-ticker.C:
		}
	}
}

// Genesis is a chain's genesis with an application; params may be nil.
func Genesis(app, params map[string]any) map[string]any {
	genesis := map[string]any{
		"format":         1,
		"validators_max": 16,
		"time_ms":        time.Now().Unix() * 1000,
		"app":            app,
	}
	if params != nil {
		genesis["params"] = params
	}
	return genesis
}
