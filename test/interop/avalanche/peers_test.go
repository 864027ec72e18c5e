package avalanche

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/ava-labs/avalanchego/ids"
	"github.com/ava-labs/avalanchego/message"
	"github.com/ava-labs/avalanchego/network/p2p"
	"github.com/ava-labs/avalanchego/network/p2p/acp118"
	pb "github.com/ava-labs/avalanchego/proto/pb/p2p"
	"github.com/ava-labs/avalanchego/proto/pb/sdk"
	"github.com/ava-labs/avalanchego/snow/engine/common"
	"github.com/ava-labs/avalanchego/utils/logging"
	"github.com/ava-labs/avalanchego/utils/set"
	"github.com/ava-labs/avalanchego/vms/platformvm/warp"
	"google.golang.org/protobuf/proto"
)

// freshCert runs a transaction and gives the certificate of its chunk, as GET /v1/chunk tells it.
func (c *Chain) freshCert(t *testing.T, node int, tx []byte) *Cert {
	t.Helper()
	state := c.executes(t, node, tx)
	block, err := c.Block(patient(t), node, state.Height.Value)
	require.NoError(t, err)
	require.NotEmpty(t, block.Certs)
	var chunk struct {
		Cert *Cert `json:"cert"`
	}
	require.NoError(t, c.Get(patient(t), node, "/v1/chunk/"+block.Certs[0].Chunk, &chunk))
	require.NotNil(t, chunk.Cert)
	require.Equal(t, block.Certs[0].Chunk, chunk.Cert.Chunk)
	return chunk.Cert
}

// A certificate is a Warp message: AvalancheGo's own verifier takes it, by the validators of its
// epoch, which is a P-Chain height.
func TestFiveCertificateIsWarp(t *testing.T) {
	net, transfers, opaque := fiveNet(t)
	for chain, tx := range map[*Chain][]byte{transfers: pay(transfers)(), opaque: random()} {
		cert := chain.freshCert(t, 1, tx)
		validators, err := net.ValidatorsAt(patient(t), 2, cert.Epoch.Value)
		require.NoError(t, err)
		require.Len(t, validators.Validators, 5)
		good, err := chain.Warp(cert)
		require.NoError(t, err)
		parsed, err := warp.ParseMessage(good.Bytes())
		require.NoError(t, err)
		networkID := net.Network.GetNetworkID()
		verify := func(message *warp.Message) error {
			return message.Signature.Verify(&message.UnsignedMessage, networkID, validators, 67, 100)
		}
		require.NoError(t, verify(parsed))
		for name, change := range map[string]func(*Cert){
			"another slot":   func(c *Cert) { c.Slot.Value++ },
			"another epoch":  func(c *Cert) { c.Epoch.Value++ },
			"more bytes":     func(c *Cert) { c.ChunkBytes++ },
			"another signer": func(c *Cert) { c.Signers = append([]int{otherSigner(c.Signers)}, c.Signers[1:]...) },
			"fewer signers":  func(c *Cert) { c.Signers = c.Signers[:2] },
		} {
			changed := *cert
			change(&changed)
			bad, err := chain.Warp(&changed)
			require.NoError(t, err)
			require.Error(t, verify(bad), name)
		}
	}
}

// otherSigner is a place that signers do not name; beyond the set if they are all.
func otherSigner(signers []int) int {
	for place := range 6 {
		named := false
		for _, signer := range signers {
			named = named || signer == place
		}
		if !named {
			return place
		}
	}
	return 6
}

// sender is an AppSender to some nodes of the network, by a connection to each.
type sender struct {
	chain   ids.ID
	peers   map[ids.NodeID]*Peer
	network *p2p.Network
}

func (s *sender) SendAppRequest(ctx context.Context, to set.Set[ids.NodeID], id uint32, bytes []byte) error {
	for node := range to {
		if err := s.peers[node].Request(ctx, s.chain, id, bytes); err != nil {
			return err
		}
	}
	return nil
}

func (*sender) SendAppResponse(context.Context, ids.NodeID, uint32, []byte) error { return nil }

func (*sender) SendAppError(context.Context, ids.NodeID, uint32, int32, string) error { return nil }

func (*sender) SendAppGossip(context.Context, common.SendConfig, []byte) error { return nil }

func (s *sender) received(in *message.InboundMessage) {
	ctx := context.Background()
	switch m := in.Message.(type) {
	case *pb.AppResponse: // the aggregator takes none any more once it has enough, and blocks
		go func() { _ = s.network.AppResponse(ctx, in.NodeID, m.RequestId, m.AppBytes) }()
	case *pb.AppError:
		_ = s.network.AppRequestFailed(ctx, in.NodeID, m.RequestId,
			&common.AppError{Code: m.ErrorCode, Message: m.ErrorMessage})
	}
}

// AvalancheGo's own aggregator collects signatures for a chunk that was let through (ACP-118), from
// strangers' connections; anything else is refused.
func TestFiveStandardAggregator(t *testing.T) {
	net, _, opaque := fiveNet(t)
	ctx := patient(t)
	sender := &sender{chain: opaque.ID, peers: map[ids.NodeID]*Peer{}}
	network, err := p2p.NewNetwork(logging.NoLog{}, sender, prometheus.NewRegistry(), "test")
	require.NoError(t, err)
	sender.network = network
	for node := range net.Nodes {
		peer, err := net.Connect(ctx, node, nil, sender.received)
		require.NoError(t, err)
		t.Cleanup(peer.StartClose)
		sender.peers[peer.ID()] = peer
	}
	client := network.NewClient(p2p.SignatureRequestHandlerID, p2p.PeerSampler{Peers: &p2p.Peers{}})

	cert := opaque.freshCert(t, 0, random())
	validators, err := net.ValidatorsAt(ctx, 0, cert.Epoch.Value)
	require.NoError(t, err)
	known, err := opaque.Warp(cert)
	require.NoError(t, err)
	asked, err := warp.NewMessage(&known.UnsignedMessage, &warp.BitSetSignature{})
	require.NoError(t, err)
	signed, weight, total, err := acp118.NewSignatureAggregator(logging.NoLog{}, client).
		AggregateSignatures(ctx, asked, []byte("whatever it says"), validators.Validators, 67, 100)
	require.NoError(t, err)
	t.Logf("signatures of %s of %s", weight, total)
	require.NoError(t, signed.Signature.Verify(&signed.UnsignedMessage, net.Network.GetNetworkID(),
		validators, 67, 100))

	payload := known.UnsignedMessage.Payload
	foreign, err := warp.NewUnsignedMessage(net.Network.GetNetworkID(), net.Chains[money].ID, payload)
	require.NoError(t, err)
	other, err := warp.NewUnsignedMessage(net.Network.GetNetworkID(), opaque.ID, []byte("sign me"))
	require.NoError(t, err)
	vote := append([]byte("DSMR\x02\x01"), make([]byte, 57)...)
	aVote, err := warp.NewUnsignedMessage(net.Network.GetNetworkID(), opaque.ID, vote)
	require.NoError(t, err)
	unknown := *cert
	unknown.Slot.Value += 2
	notLetThrough, err := opaque.Warp(&unknown)
	require.NoError(t, err)
	for name, bytes := range map[string][]byte{
		"a chunk that nobody has":  notLetThrough.UnsignedMessage.Bytes(),
		"the same, another chain":  foreign.Bytes(),
		"some bytes":               other.Bytes(),
		"a vote":                   aVote.Bytes(),
		"one byte more":            append(append([]byte(nil), known.UnsignedMessage.Bytes()...), 0),
		"nothing":                  nil,
		"the message with its sum": known.Bytes(),
	} {
		request, err := proto.Marshal(&sdk.SignatureRequest{Message: bytes})
		require.NoError(t, err)
		for node := range sender.peers {
			answers := make(chan error, 1)
			require.NoError(t, client.AppRequest(ctx, set.Of(node), request,
				func(_ context.Context, _ ids.NodeID, _ []byte, err error) { answers <- err }))
			select {
			case err := <-answers:
				require.Error(t, err, name)
			case <-ctx.Done():
				t.Fatalf("no answer to: %s", name)
			}
		}
	}
}

// garbage makes bytes that no honest node sends, with and without the numbers of our handlers.
func garbage(random *rand.Rand) []byte {
	size := random.Intn(3000)
	if random.Intn(20) == 0 {
		size = 50_000
	}
	bytes := make([]byte, size)
	random.Read(bytes)
	prefixes := [][]byte{{}, {68}, {69}, {2}, {0xac, 0x02}, {0xff, 0xff, 0xff}, {0}}
	prefix := prefixes[random.Intn(len(prefixes))]
	if len(prefix) == 1 && prefix[0] == 68 && random.Intn(3) > 0 { // framed, with a type
		framed := []byte{68}
		for range 1 + random.Intn(4) {
			part := make([]byte, 1+random.Intn(400))
			random.Read(part)
			part[0] = byte(1 + random.Intn(25))
			framed = binary.BigEndian.AppendUint32(framed, uint32(len(part)))
			framed = append(framed, part...)
		}
		return framed
	}
	return append(append([]byte(nil), prefix...), bytes...)
}

// errors is the sum of a node's counted errors.
func (c *Chain) errors(t *testing.T, node int) (sum float64) {
	t.Helper()
	metrics, err := c.Metrics(patient(t), node)
	require.NoError(t, err)
	for name, value := range metrics {
		if strings.HasPrefix(name, "dsmr_errors_total") {
			sum += value
		}
	}
	return sum
}

// Strangers send anything: each request is answered by an error and counted, and the chains go on.
func TestFiveStrangersSendGarbage(t *testing.T) {
	net, transfers, opaque := fiveNet(t)
	const rounds = 120
	ctx := patient(t)
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	chains := []*Chain{transfers, opaque}
	load := transfers.StartLoad(all, 5, pay(transfers))
	var pids [2][]int
	var before [2][]float64
	for i, chain := range chains {
		for _, node := range all {
			ports, err := chain.Ports(node)
			require.NoError(t, err)
			pids[i] = append(pids[i], ports.Pid)
			before[i] = append(before[i], chain.errors(t, node))
		}
	}
	var lock sync.Mutex
	answers, errors := 0, 0
	received := func(in *message.InboundMessage) {
		lock.Lock()
		defer lock.Unlock()
		switch in.Message.(type) {
		case *pb.AppResponse:
			answers++
		case *pb.AppError:
			errors++
		}
	}
	var work sync.WaitGroup
	failed := make(chan error, len(all))
	for _, node := range all {
		peer, err := net.Connect(ctx, node, nil, received)
		require.NoError(t, err)
		t.Cleanup(peer.StartClose)
		work.Add(1)
		go func() {
			defer work.Done()
			random := rand.New(rand.NewSource(seed + int64(node)))
			for round := range uint32(rounds) {
				for _, chain := range chains {
					for _, err := range []error{
						peer.Request(ctx, chain.ID, round, garbage(random)),
						peer.Gossip(ctx, chain.ID, garbage(random)),
						peer.Respond(ctx, chain.ID, uint32(random.Intn(1000)), garbage(random)),
						peer.Refuse(ctx, chain.ID, uint32(random.Intn(1000)), int32(random.Intn(9)-4), "no"),
					} {
						if err != nil {
							failed <- err
							return
						}
					}
				}
			}
		}()
	}
	work.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	goal := rounds * len(all) * len(chains)
	net.until(t, func() error {
		lock.Lock()
		defer lock.Unlock()
		if errors < goal {
			return fmt.Errorf("%d errors to %d requests", errors, goal)
		}
		return nil
	})
	require.Zero(t, answers, "garbage was taken for a request")
	load.under(t, net, 20)
	from := load.Stop()
	t.Logf("%d refused, meanwhile %d transfers", errors, len(from))
	for i, chain := range chains {
		for k, node := range all {
			ports, err := chain.Ports(node)
			require.NoError(t, err)
			require.Equal(t, pids[i][k], ports.Pid)
			require.True(t, IsRunning(ports.Pid))
			// Requests, and gossip as far as AvalancheGo hands it on.
			require.GreaterOrEqual(t, chain.errors(t, node), before[i][k]+rounds, "not counted")
		}
	}
	opaque.executes(t, 0, random())
	transfers.agree(t, all...)
	opaque.agree(t, all...)
}

// A validator sends garbage, and answers with it what it is asked.
func TestFiveValidatorSendsGarbage(t *testing.T) {
	net, transfers, opaque := fiveNet(t)
	const liar, rounds = 4, 60
	ctx := patient(t)
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	chains := []*Chain{transfers, opaque}
	byID := map[ids.ID]*Chain{transfers.ID: transfers, opaque.ID: opaque}
	require.NoError(t, net.StopNode(ctx, liar))
	before := [2]float64{transfers.errors(t, 0), opaque.errors(t, 0)}
	load := transfers.StartLoad(others(liar), 8, pay(transfers))
	loadOpaque := opaque.StartLoad(others(liar), 4, random)
	var lock sync.Mutex
	answered := 0
	var work sync.WaitGroup
	var peers []*Peer
	failed := make(chan error, 5)
	for _, node := range others(liar) {
		var peer *Peer
		ready := make(chan struct{})
		source := rand.New(rand.NewSource(seed - int64(node)))
		received := func(in *message.InboundMessage) {
			request, ok := in.Message.(*pb.AppRequest)
			if !ok {
				return
			}
			<-ready
			lock.Lock()
			defer lock.Unlock()
			answered++
			chain, _ := ids.ToID(request.ChainId)
			if byID[chain] == nil {
				return // of another chain of the node
			}
			switch source.Intn(3) {
			case 0:
				_ = peer.Respond(ctx, chain, request.RequestId, garbage(source))
			case 1:
				_ = peer.Refuse(ctx, chain, request.RequestId, int32(source.Intn(9)-4), "I will not")
			}
		}
		var err error
		peer, err = net.Connect(ctx, node, net.Nodes[liar], received)
		require.NoError(t, err)
		close(ready)
		peers = append(peers, peer)
		t.Cleanup(peer.StartClose)
		work.Add(1)
		go func() {
			defer work.Done()
			random := rand.New(rand.NewSource(seed + int64(node)))
			for round := range uint32(rounds) {
				for _, chain := range chains {
					for _, err := range []error{
						peer.Request(ctx, chain.ID, round, garbage(random)),
						peer.Gossip(ctx, chain.ID, garbage(random)),
						peer.Respond(ctx, chain.ID, uint32(random.Intn(1000)), garbage(random)),
					} {
						if err != nil {
							failed <- err
							return
						}
					}
				}
			}
		}()
	}
	work.Wait()
	select {
	case err := <-failed:
		t.Fatal(err)
	default:
	}
	load.under(t, net, 20)
	loadOpaque.under(t, net, 10)
	net.until(t, func() error {
		lock.Lock()
		defer lock.Unlock()
		if answered == 0 {
			return fmt.Errorf("nobody asks the liar")
		}
		return nil
	})
	promises, promisesOpaque := load.Stop(), loadOpaque.Stop()
	lock.Lock()
	t.Logf("%d requests answered with garbage or not at all, %d and %d transactions", answered,
		len(promises), len(promisesOpaque))
	lock.Unlock()
	require.Greater(t, transfers.errors(t, 0), before[0])
	require.Greater(t, opaque.errors(t, 0), before[1])
	for _, peer := range peers {
		peer.StartClose()
	}
	require.NoError(t, net.StartNode(patient(t), liar))
	net.back(t, liar)
	transfers.executes(t, liar, pay(transfers)())
	opaque.executes(t, liar, random())
	transfers.agree(t, all...)
	opaque.agree(t, all...)
	require.NoError(t, transfers.Keeps(patient(t), all, 1, promises))
	require.NoError(t, opaque.Keeps(patient(t), all, 1, promisesOpaque))
}
