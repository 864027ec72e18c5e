package avalanche

import (
	"context"
	"crypto"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ava-labs/avalanchego/config"
	"github.com/ava-labs/avalanchego/ids"
	"github.com/ava-labs/avalanchego/message"
	"github.com/ava-labs/avalanchego/network/peer"
	"github.com/ava-labs/avalanchego/network/throttling"
	"github.com/ava-labs/avalanchego/snow/networking/router"
	"github.com/ava-labs/avalanchego/snow/networking/tracker"
	"github.com/ava-labs/avalanchego/snow/uptime"
	"github.com/ava-labs/avalanchego/snow/validators"
	"github.com/ava-labs/avalanchego/staking"
	"github.com/ava-labs/avalanchego/tests/fixture/tmpnet"
	"github.com/ava-labs/avalanchego/upgrade"
	"github.com/ava-labs/avalanchego/utils"
	"github.com/ava-labs/avalanchego/utils/constants"
	"github.com/ava-labs/avalanchego/utils/crypto/bls"
	"github.com/ava-labs/avalanchego/utils/crypto/bls/signer/localsigner"
	"github.com/ava-labs/avalanchego/utils/logging"
	"github.com/ava-labs/avalanchego/utils/math/meter"
	"github.com/ava-labs/avalanchego/utils/resource"
	"github.com/ava-labs/avalanchego/utils/set"
	"github.com/ava-labs/avalanchego/version"
)

// Peer is this program in the place of a node, connected to one of the network's. It sends what it
// likes.
type Peer struct {
	peer.Peer
	message.Creator
}

// Connect connects to a node: with the identity of a node that does not run, or, if as is nil, as a
// stranger. received is called with all that comes but the handshake.
func (n *Net) Connect(ctx context.Context, place int, as *tmpnet.Node,
	received func(*message.InboundMessage),
) (*Peer, error) {
	cert, key, err := identity(as)
	if err != nil {
		return nil, err
	}
	address := n.Nodes[place].StakingAddress
	conn, err := (&net.Dialer{}).DialContext(ctx, constants.NetworkType, address.String())
	if err != nil {
		return nil, err
	}
	upgrader := peer.NewTLSClientUpgrader(peer.TLSConfig(*cert, nil),
		prometheus.NewCounter(prometheus.CounterOpts{}))
	id, conn, remoteCert, err := upgrader.Upgrade(conn)
	if err != nil {
		return nil, err
	}
	creator, err := message.NewCreator(prometheus.NewRegistry(),
		constants.DefaultNetworkCompressionType, 10*time.Second)
	if err != nil {
		return nil, err
	}
	metrics, err := peer.NewMetrics(prometheus.NewRegistry())
	if err != nil {
		return nil, err
	}
	resources, err := tracker.NewResourceTracker(prometheus.NewRegistry(), resource.NoUsage,
		meter.ContinuousFactory{}, 10*time.Second)
	if err != nil {
		return nil, err
	}
	handler := func(_ context.Context, message *message.InboundMessage) {
		if received != nil {
			received(message)
		}
		message.OnFinishedHandling()
	}
	started := peer.Start(&peer.Config{
		Metrics:              metrics,
		MessageCreator:       creator,
		Log:                  logging.NoLog{},
		InboundMsgThrottler:  throttling.NewNoInboundThrottler(),
		Network:              peer.TestNetwork,
		Router:               router.InboundHandlerFunc(handler),
		VersionCompatibility: version.GetCompatibility(upgrade.InitiallyActiveTime),
		MySubnets:            set.Of(n.subnetID()),
		Beacons:              validators.NewManager(),
		Validators:           validators.NewManager(),
		NetworkID:            n.Network.GetNetworkID(),
		PingFrequency:        constants.DefaultPingFrequency,
		PongTimeout:          constants.DefaultPingPongTimeout,
		MaxClockDifference:   time.Minute,
		ResourceTracker:      resources,
		UptimeCalculator:     uptime.NoOpCalculator,
		IPSigner: peer.NewIPSigner(utils.NewAtomic(netip.MustParseAddrPort("[::1]:1")),
			cert.PrivateKey.(crypto.Signer), key),
	}, conn, remoteCert, id, peer.NewBlockingMessageQueue(metrics, logging.NoLog{}, 1024), false)
	connected := &Peer{started, creator}
	if err := started.AwaitReady(ctx); err != nil {
		return nil, fmt.Errorf("node %d does not take the connection: %w", place, err)
	}
	return connected, nil
}

func identity(as *tmpnet.Node) (*tls.Certificate, bls.Signer, error) {
	if as == nil {
		cert, err := staking.NewTLSCert()
		if err != nil {
			return nil, nil, err
		}
		key, err := localsigner.New()
		return cert, key, err
	}
	var parts [3][]byte
	for i, flag := range []string{
		config.StakingTLSKeyContentKey, config.StakingCertContentKey, config.StakingSignerKeyContentKey,
	} {
		decoded, err := base64.StdEncoding.DecodeString(as.Flags[flag])
		if err != nil {
			return nil, nil, err
		}
		parts[i] = decoded
	}
	cert, err := staking.LoadTLSCertFromBytes(parts[0], parts[1])
	if err != nil {
		return nil, nil, err
	}
	key, err := localsigner.FromBytes(parts[2])
	return cert, key, err
}

// send hands a message over; an error if the connection is gone.
func (p *Peer) send(ctx context.Context, message *message.OutboundMessage, err error) error {
	if err != nil {
		return err
	}
	if !p.Send(ctx, message) {
		return fmt.Errorf("the connection to %s is closed", p.ID())
	}
	return nil
}

// Request sends an AppRequest of a chain.
func (p *Peer) Request(ctx context.Context, chain ids.ID, id uint32, bytes []byte) error {
	message, err := p.AppRequest(chain, id, 5*time.Second, bytes)
	return p.send(ctx, message, err)
}

// Respond sends an AppResponse.
func (p *Peer) Respond(ctx context.Context, chain ids.ID, id uint32, bytes []byte) error {
	message, err := p.AppResponse(chain, id, bytes)
	return p.send(ctx, message, err)
}

// Refuse sends an AppError.
func (p *Peer) Refuse(ctx context.Context, chain ids.ID, id uint32, code int32, why string) error {
	message, err := p.AppError(chain, id, code, why)
	return p.send(ctx, message, err)
}

// Gossip sends an AppGossip.
func (p *Peer) Gossip(ctx context.Context, chain ids.ID, bytes []byte) error {
	message, err := p.AppGossip(chain, bytes)
	return p.send(ctx, message, err)
}
