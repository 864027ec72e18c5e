package avalanche

import (
	"context"
	"fmt"
	"time"

	"github.com/ava-labs/avalanchego/genesis"
	"github.com/ava-labs/avalanchego/ids"
	"github.com/ava-labs/avalanchego/snow/validators"
	"github.com/ava-labs/avalanchego/utils/constants"
	"github.com/ava-labs/avalanchego/utils/units"
	"github.com/ava-labs/avalanchego/vms/components/avax"
	"github.com/ava-labs/avalanchego/vms/platformvm"
	"github.com/ava-labs/avalanchego/vms/platformvm/api"
	"github.com/ava-labs/avalanchego/vms/platformvm/txs"
	"github.com/ava-labs/avalanchego/vms/secp256k1fx"
	"github.com/ava-labs/avalanchego/wallet/subnet/primary"
	"github.com/ava-labs/avalanchego/wallet/subnet/primary/common"
)

func (n *Net) subnetID() ids.ID {
	return n.Network.Subnets[0].SubnetID
}

// BumpPChain makes one more P-Chain block: epochs are its heights, so none begins without.
func (n *Net) BumpPChain(ctx context.Context, node int) error {
	key := genesis.EWOQKey // funded by tmpnet's genesis
	keys := secp256k1fx.NewKeychain(key)
	wallet, err := primary.MakeWallet(ctx, n.Nodes[node].GetAccessibleURI(), keys, keys,
		primary.WalletConfig{})
	if err != nil {
		return err
	}
	owner := secp256k1fx.OutputOwners{Threshold: 1, Addrs: []ids.ShortID{key.Address()}}
	_, err = wallet.P().IssueBaseTx([]*avax.TransferableOutput{{
		Asset: avax.Asset{ID: wallet.P().Builder().Context().AVAXAssetID},
		Out:   &secp256k1fx.TransferOutput{Amt: units.MilliAvax, OutputOwners: owner},
	}}, common.WithContext(ctx))
	return err
}

// PChainHeight is a node's.
func (n *Net) PChainHeight(ctx context.Context, node int) (uint64, error) {
	return platformvm.NewClient(n.Nodes[node].GetAccessibleURI()).GetHeight(ctx)
}

// ValidatorsAt is the canonical Warp set of the subnet at a P-Chain height.
func (n *Net) ValidatorsAt(ctx context.Context, node int, height uint64) (validators.WarpSet, error) {
	set, err := platformvm.NewClient(n.Nodes[node].GetAccessibleURI()).
		GetValidatorsAt(ctx, n.subnetID(), api.Height(height))
	if err != nil {
		return validators.WarpSet{}, err
	}
	return validators.FlattenValidatorSet(set)
}

// AddValidator lets a node validate the primary network, if it does not, and the subnet.
func (n *Net) AddValidator(ctx context.Context, through, added int) error {
	uri := n.Nodes[through].GetAccessibleURI()
	client := platformvm.NewClient(uri)
	node := n.Nodes[added]
	current, err := client.GetCurrentValidators(ctx, constants.PrimaryNetworkID,
		[]ids.NodeID{node.NodeID})
	if err != nil {
		return err
	}
	end := uint64(time.Now().Add(48 * time.Hour).Unix())
	if len(current) > 0 {
		end = current[0].EndTime
	} else if err := n.addPrimary(ctx, uri, added, end); err != nil {
		return err
	}
	wallet, err := n.Network.Subnets[0].GetWallet(ctx, uri)
	if err != nil {
		return err
	}
	_, err = wallet.P().IssueAddSubnetValidatorTx(&txs.SubnetValidator{
		Validator: txs.Validator{NodeID: node.NodeID, End: end, Wght: units.Schmeckle},
		Subnet:    n.subnetID(),
	}, common.WithContext(ctx))
	return err
}

func (n *Net) addPrimary(ctx context.Context, uri string, added int, end uint64) error {
	keys := secp256k1fx.NewKeychain(genesis.EWOQKey)
	wallet, err := primary.MakeWallet(ctx, uri, keys, keys, primary.WalletConfig{})
	if err != nil {
		return err
	}
	proof, err := n.Nodes[added].GetProofOfPossession()
	if err != nil {
		return err
	}
	owner := &secp256k1fx.OutputOwners{
		Threshold: 1,
		Addrs:     []ids.ShortID{genesis.EWOQKey.Address()},
	}
	_, err = wallet.P().IssueAddPermissionlessValidatorTx(&txs.SubnetValidator{
		Validator: txs.Validator{NodeID: n.Nodes[added].NodeID, End: end, Wght: 2 * units.KiloAvax},
		Subnet:    constants.PrimaryNetworkID,
	}, proof, wallet.P().Builder().Context().AVAXAssetID, owner, owner, 20_000,
		common.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("primary network: %w", err)
	}
	return nil
}

// RemoveValidator takes a node out of the subnet.
func (n *Net) RemoveValidator(ctx context.Context, through, removed int) error {
	wallet, err := n.Network.Subnets[0].GetWallet(ctx, n.Nodes[through].GetAccessibleURI())
	if err != nil {
		return err
	}
	_, err = wallet.P().IssueRemoveSubnetValidatorTx(n.Nodes[removed].NodeID, n.subnetID(),
		common.WithContext(ctx))
	return err
}
