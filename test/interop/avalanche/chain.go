package avalanche

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ava-labs/avalanchego/ids"
)

// Chain is one chain of a network, seen through the nodes' chain API.
type Chain struct {
	net    *Net
	ID     ids.ID
	isOurs bool // of the VM that is tested, and no other one's
}

// Number is an integer, as a number or as digits. Null is no value.
type Number struct {
	Value uint64
	IsSet bool
}

// UnmarshalJSON takes the three forms.
func (n *Number) UnmarshalJSON(text []byte) error {
	text = bytes.Trim(text, `"`)
	if string(text) == "null" {
		*n = Number{}
		return nil
	}
	value, err := strconv.ParseUint(string(text), 10, 64)
	*n = Number{Value: value, IsSet: err == nil}
	return err
}

// Refusal is an answer of the API that is not a success.
type Refusal struct {
	Status int
	Code   string
	Text   string
}

func (r *Refusal) Error() string {
	return fmt.Sprintf("%d %s: %s", r.Status, r.Code, r.Text)
}

// Status is what a node says of itself.
type Status struct {
	Engine         string `json:"engine"`
	Height         Number `json:"height"`
	BlockID        string `json:"block_id"`
	Epoch          Number `json:"epoch"`
	ExecutedHeight Number `json:"executed_height"`
	StateRoot      string `json:"state_root"`
	Peers          int    `json:"peers_connected"`
	Validators     int    `json:"validators"`
	IsValidator    bool   `json:"is_validator"`
	IsBehind       bool   `json:"is_behind"`
	IsHalted       bool   `json:"is_halted"`
	HaltReason     string `json:"halt_reason"`
}

// Cert is a certificate.
type Cert struct {
	Chunk      string `json:"chunk"`
	Epoch      Number `json:"epoch"`
	Producer   string `json:"producer"`
	Slot       Number `json:"slot"`
	Expiry     Number `json:"expiry_ms"`
	TxCount    uint32 `json:"tx_count"`
	ChunkBytes uint32 `json:"chunk_bytes"`
	Signers    []int  `json:"signers"`
	Signature  string `json:"signature"`
}

// Block is a block with its certificates.
type Block struct {
	ID       string `json:"id"`
	ParentID string `json:"parent_id"`
	Height   Number `json:"height"`
	Time     Number `json:"time_ms"`
	Epoch    Number `json:"epoch"`
	Certs    []Cert `json:"certs"`
	Executed *struct {
		StateRoot string `json:"state_root"`
		TxCount   Number `json:"tx_count"`
	} `json:"executed"`
}

// TxState says where a transaction is.
type TxState struct {
	Tx     string `json:"tx"`
	State  string `json:"state"`
	Height Number `json:"height"`
	Code   Number `json:"code"`
}

// client gives up when a plugin is gone: AvalancheGo waits for it without an end.
var client = &http.Client{
	Timeout:   40 * time.Second,
	Transport: &http.Transport{MaxIdleConnsPerHost: 64},
}

// URL is the address of a path of the chain's API on a node.
func (c *Chain) URL(node int, path string) string {
	return fmt.Sprintf("%s/ext/bc/%s%s", c.net.Nodes[node].GetAccessibleURI(), c.ID, path)
}

// Get asks a node's chain API. An answer that is no success is a *Refusal.
func (c *Chain) Get(ctx context.Context, node int, path string, out any) error {
	return c.call(ctx, http.MethodGet, node, path, nil, out)
}

// Post sends a body, encoded as JSON.
func (c *Chain) Post(ctx context.Context, node int, path string, body, out any) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	return c.call(ctx, http.MethodPost, node, path, encoded, out)
}

func (c *Chain) call(ctx context.Context, method string, node int, path string, body []byte,
	out any,
) error {
	request, err := http.NewRequestWithContext(ctx, method, c.URL(node, path), bytes.NewReader(body))
	if err != nil {
		return err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		return err
	}
	if response.StatusCode >= 300 {
		refusal := &Refusal{Status: response.StatusCode, Text: string(answer)}
		var told struct {
			Error struct {
				Code string `json:"code"`
			} `json:"error"`
		}
		if json.Unmarshal(answer, &told) == nil {
			refusal.Code = told.Error.Code
		}
		return refusal
	}
	if text, ok := out.(*string); ok {
		*text = string(answer)
		return nil
	}
	return json.Unmarshal(answer, out)
}

// Status asks a node how far it is. It does not wait long: a node that is stuck has no status.
func (c *Chain) Status(node int) (Status, error) {
	var status Status
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return status, c.Get(ctx, node, "/v1/status", &status)
}

// Block is the block at a height, as a node tells it.
func (c *Chain) Block(ctx context.Context, node int, height uint64) (Block, error) {
	var block Block
	return block, c.Get(ctx, node, fmt.Sprintf("/v1/block/%d", height), &block)
}

// Txs are the ids of the transactions that a block executed, in order.
func (c *Chain) Txs(ctx context.Context, node int, height uint64) ([]string, error) {
	var txs []string
	cursor := ""
	for {
		var page struct {
			Next *string `json:"next_cursor"`
			Txs  []struct {
				Tx string `json:"tx"`
			} `json:"txs"`
		}
		path := fmt.Sprintf("/v1/block/%d/txs?limit=1000%s", height, cursor)
		if err := c.Get(ctx, node, path, &page); err != nil {
			return nil, err
		}
		for _, tx := range page.Txs {
			txs = append(txs, tx.Tx)
		}
		if page.Next == nil {
			return txs, nil
		}
		cursor = "&cursor=" + *page.Next
	}
}

// Submit sends a transaction to a node and waits as far as mode says (docs/api.md).
func (c *Chain) Submit(ctx context.Context, node int, tx []byte, mode string) (TxState, error) {
	var state TxState
	body := map[string]string{"tx": hex.EncodeToString(tx)}
	return state, c.Post(ctx, node, "/v1/tx?mode="+mode, body, &state)
}

// Tx asks where a transaction is.
func (c *Chain) Tx(ctx context.Context, node int, id string) (TxState, error) {
	var state TxState
	return state, c.Get(ctx, node, "/v1/tx/"+id, &state)
}

// Metrics are a node's counters and gauges; those with labels have them in their names.
func (c *Chain) Metrics(ctx context.Context, node int) (map[string]float64, error) {
	var text string
	if err := c.Get(ctx, node, "/metrics", &text); err != nil {
		return nil, err
	}
	values := map[string]float64{}
	for _, line := range bytes.Split([]byte(text), []byte("\n")) {
		name, value, ok := bytes.Cut(line, []byte(" "))
		if number, err := strconv.ParseFloat(string(value), 64); ok && err == nil {
			values[string(name)] = number
		}
	}
	return values, nil
}

// DataDir is where a node's plugin keeps this chain.
func (c *Chain) DataDir(node int) string {
	return filepath.Join(c.net.Nodes[node].DataDir, "chainData", c.ID.String())
}

// Log is what the chain has logged on a node: AvalancheGo's lines and the plugin's.
func (c *Chain) Log(node int) string {
	text, err := os.ReadFile(filepath.Join(c.net.Nodes[node].DataDir, "logs", c.ID.String()+".log"))
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// Ports is what the node's plugin of this chain has written.
func (c *Chain) Ports(node int) (Ports, error) {
	var ports Ports
	encoded, err := os.ReadFile(filepath.Join(c.DataDir(node), "ports.json"))
	if err != nil {
		return ports, err
	}
	return ports, json.Unmarshal(encoded, &ports)
}
