package avalanche

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"
)

// Account is a key of the application transfers (docs/transfers.md).
type Account struct {
	key ed25519.PrivateKey
}

// NewAccounts makes accounts with fresh keys.
func NewAccounts(count int) ([]Account, error) {
	accounts := make([]Account, count)
	for i := range accounts {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		if err != nil {
			return nil, err
		}
		accounts[i].key = key
	}
	return accounts, nil
}

// Address is what others send to.
func (a Account) Address() string {
	return hex.EncodeToString(a.key.Public().(ed25519.PublicKey))
}

// TransfersApp is the genesis of the application with funded accounts; a fee of 1.
func TransfersApp(accounts []Account, balance uint64) map[string]any {
	var list []map[string]any
	for _, account := range accounts {
		list = append(list, map[string]any{"address": account.Address(), "balance": balance})
	}
	return map[string]any{
		"name":     "transfers",
		"fee":      map[string]any{"base": "1", "per_byte": "0", "per_signature": "0"},
		"accounts": list,
	}
}

const lifetime = 40 * time.Second

var serial atomic.Uint64 // no two transactions are the same

func memo() []byte {
	return binary.BigEndian.AppendUint64(nil, serial.Add(1))
}

func expiry() uint64 {
	return uint64(time.Now().Add(lifetime).UnixMilli())
}

// Transfer is a signed transfer of a chain.
func (c *Chain) Transfer(from, to Account, amount uint64) []byte {
	tx := []byte{1}
	tx = binary.BigEndian.AppendUint64(tx, expiry())
	tx = binary.BigEndian.AppendUint32(tx, c.net.Network.GetNetworkID())
	tx = append(tx, c.ID[:]...)
	tx = append(tx, from.key.Public().(ed25519.PublicKey)...)
	tx = append(tx, to.key.Public().(ed25519.PublicKey)...)
	tx = binary.BigEndian.AppendUint64(tx, amount)
	tx = binary.BigEndian.AppendUint64(tx, 1) // fee limit
	text := memo()
	tx = append(tx, byte(len(text)))
	tx = append(tx, text...)
	return append(tx, ed25519.Sign(from.key, append([]byte("DSMR/transfers/1"), tx...))...)
}

// Opaque is a transaction of the application opaque.
func Opaque(size int) []byte {
	tx := []byte{1}
	tx = binary.BigEndian.AppendUint64(tx, expiry())
	tx = append(tx, memo()...)
	for len(tx) < size {
		tx = append(tx, byte(len(tx)))
	}
	return tx
}

// TxID is the id of a transaction.
func TxID(tx []byte) string {
	sum := sha256.Sum256(tx)
	return hex.EncodeToString(sum[:])
}

// WriteAccounts writes the accounts into a folder as `dsmr --keys` reads it.
func WriteAccounts(dir string, accounts []Account) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for i, account := range accounts {
		name := fmt.Sprintf("account-%d", i)
		encoded, err := json.Marshal(map[string]string{
			"name":        name,
			"address":     account.Address(),
			"address_hex": account.Address(),
			"secret_key":  hex.EncodeToString(account.key.Seed()),
		})
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), encoded, 0o600); err != nil {
			return err
		}
	}
	return nil
}
