package avalanche

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/ava-labs/avalanchego/utils/set"
	"github.com/ava-labs/avalanchego/vms/platformvm/warp"
)

// Warp is the certificate as a Warp message, made of its JSON alone (docs/wire.md, "What is
// signed").
func (c *Chain) Warp(cert *Cert) (*warp.Message, error) {
	payload := []byte("DSMR\x01\x01") // a share, version 1
	reference, err := cert.reference()
	if err != nil {
		return nil, err
	}
	unsigned, err := warp.NewUnsignedMessage(c.net.Network.GetNetworkID(), c.ID,
		append(payload, reference...))
	if err != nil {
		return nil, err
	}
	signature := &warp.BitSetSignature{Signers: set.NewBits(cert.Signers...).Bytes()}
	sum, err := hex.DecodeString(cert.Signature)
	if err != nil || len(sum) != len(signature.Signature) {
		return nil, fmt.Errorf("signature %q", cert.Signature)
	}
	copy(signature.Signature[:], sum)
	return warp.NewMessage(unsigned, signature)
}

func (c *Cert) reference() ([]byte, error) {
	chunk, err := hex.DecodeString(c.Chunk)
	if err != nil || len(chunk) != 32 {
		return nil, fmt.Errorf("chunk %q", c.Chunk)
	}
	producer, err := hex.DecodeString(c.Producer)
	if err != nil || len(producer) != 20 {
		return nil, fmt.Errorf("producer %q", c.Producer)
	}
	reference := binary.BigEndian.AppendUint64(chunk, c.Epoch.Value)
	reference = append(reference, producer...)
	reference = binary.BigEndian.AppendUint64(reference, c.Slot.Value)
	reference = binary.BigEndian.AppendUint64(reference, c.Expiry.Value)
	reference = binary.BigEndian.AppendUint32(reference, c.TxCount)
	return binary.BigEndian.AppendUint32(reference, c.ChunkBytes), nil
}
