// Package avalanche runs dsmr-avalanche under unmodified AvalancheGo nodes on this machine.
package avalanche

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/ava-labs/avalanchego/config"
	"github.com/ava-labs/avalanchego/ids"
	"github.com/ava-labs/avalanchego/tests/fixture/tmpnet"
	"github.com/ava-labs/avalanchego/utils/crypto/secp256k1"
	"github.com/ava-labs/avalanchego/utils/logging"
)

// VMName, padded with zeros, is the id of the VM; its CB58 form is the plugin's file name.
const VMName = "dsmr"

// VMID is the id under which AvalancheGo looks for the plugin.
func VMID() ids.ID {
	var id ids.ID
	copy(id[:], VMName)
	return id
}

// Spec says what network to start.
type Spec struct {
	Nodes       int
	AvalancheGo string         // path of the node's binary
	Plugin      string         // path of dsmr-avalanche
	Dir         string         // of the network; made
	Genesis     map[string]any // of the chain
	Config      map[string]any // of the chain; nil: defaults
	Flags       tmpnet.FlagsMap
}

// Net is a network that runs.
type Net struct {
	*tmpnet.Network
	ChainID ids.ID
	Log     logging.Logger
}

// Start starts the network and waits until the chain is healthy on every node.
func Start(ctx context.Context, spec Spec) (*Net, error) {
	plugins := filepath.Join(spec.Dir, "plugins")
	if err := os.MkdirAll(plugins, 0o755); err != nil {
		return nil, err
	}
	// tmpnet writes below the home directory.
	if err := os.Setenv("HOME", spec.Dir); err != nil {
		return nil, err
	}
	target := filepath.Join(plugins, VMID().String())
	if err := os.Remove(target); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	if err := os.Symlink(spec.Plugin, target); err != nil {
		return nil, err
	}
	genesis, err := json.Marshal(spec.Genesis)
	if err != nil {
		return nil, err
	}
	chainConfig := ""
	if spec.Config != nil {
		encoded, err := json.Marshal(spec.Config)
		if err != nil {
			return nil, err
		}
		chainConfig = string(encoded)
	}
	key, err := secp256k1.NewPrivateKey()
	if err != nil {
		return nil, err
	}
	flags := tmpnet.DefaultE2EFlags()
	flags[config.LogLevelKey] = "info"
	flags[config.IndexEnabledKey] = "false"
	flags[config.FdLimitKey] = "8192"
	flags[config.NetworkInitialTimeoutKey] = "500ms"
	flags[config.NetworkMinimumTimeoutKey] = "500ms"
	flags[config.SystemTrackerRequiredAvailableDiskSpacePercentageKey] = "0"
	for name, value := range spec.Flags {
		flags[name] = value
	}
	nodes := tmpnet.NewNodesOrPanic(spec.Nodes)
	network := &tmpnet.Network{
		Owner:        VMName,
		Nodes:        nodes,
		DefaultFlags: flags,
		DefaultRuntimeConfig: tmpnet.NodeRuntimeConfig{Process: &tmpnet.ProcessRuntimeConfig{
			AvalancheGoPath: spec.AvalancheGo,
			PluginDir:       plugins,
		}},
		Subnets: []*tmpnet.Subnet{{
			Name: VMName,
			Chains: []*tmpnet.Chain{{
				VMID:         VMID(),
				Genesis:      genesis,
				Config:       chainConfig,
				PreFundedKey: key,
			}},
			ValidatorIDs: tmpnet.NodesToIDs(nodes...),
		}},
	}
	log := logging.NewLogger("", logging.NewWrappedCore(logging.Info, os.Stderr, logging.Plain.ConsoleEncoder()))
	net := &Net{Network: network, Log: log}
	if err := tmpnet.BootstrapNewNetwork(ctx, log, network, filepath.Join(spec.Dir, "network")); err != nil {
		return net, err
	}
	net.ChainID = network.Subnets[0].Chains[0].ChainID
	for _, node := range nodes {
		if err := node.WaitForHealthy(ctx); err != nil {
			return net, fmt.Errorf("%s: %w", node.NodeID, err)
		}
	}
	return net, nil
}

// Close stops all nodes; what it needs of time it takes.
func (n *Net) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return n.Stop(ctx)
}

// URL is the address of a path of the chain's API on a node.
func (n *Net) URL(node int, path string) string {
	return fmt.Sprintf("%s/ext/bc/%s%s", n.Nodes[node].GetAccessibleURI(), n.ChainID, path)
}

// Get asks a node's chain API; what it answers is JSON, or it is an error.
func (n *Net) Get(node int, path string) (map[string]any, error) {
	return decode(http.Get(n.URL(node, path)))
}

// Post sends a body.
func (n *Net) Post(node int, path string, body any) (map[string]any, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return decode(http.Post(n.URL(node, path), "application/json", bytes.NewReader(encoded)))
}

func decode(response *http.Response, err error) (map[string]any, error) {
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	var value map[string]any
	if err := json.Unmarshal(body, &value); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", response.Status, body, err)
	}
	if response.StatusCode >= 300 {
		return value, fmt.Errorf("%s: %s", response.Status, body)
	}
	return value, nil
}

// Genesis is a chain's genesis with an application.
func Genesis(app map[string]any) map[string]any {
	return map[string]any{
		"format":  1,
		"time_ms": time.Now().Unix() * 1000,
		"app":     app,
	}
}
