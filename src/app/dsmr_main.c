/* dsmr_main.c - the client: keys, transfers, questions, load, a network on this machine. */
#include <stdio.h>

#include "app/cli_load_check.h"
#include "app/cli_options.h"
#include "app/cli_verbs.h"
#include "app/exit_codes.h"
#include "app/localnet.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const struct dsmr_cli_option common_options[] = {
    {"node", "HOST:PORT", DSMR_CLI_TEXT, 0, 0, NULL, "127.0.0.1:26657", "the node's HTTP port"},
    {"keys", "DIR", DSMR_CLI_TEXT, 0, 0, NULL, NULL,
     "folder of account keys (default: ~/.dsmr/accounts)"},
    {"json", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false", "JSON on standard output"},
};
static const struct dsmr_cli_option send_options[] = {
    {"from", "NAME", DSMR_CLI_TEXT, 0, 0, NULL, NULL, "the key that pays, by name or path"},
    {"mode", "MODE", DSMR_CLI_CHOICE, 0, 0, "async|sync|certified|executed", "executed",
     "what to wait for"},
    {"fee-limit", "N", DSMR_CLI_NUMBER, 0, 0, NULL, "100000", "pay at most this fee"},
    {"memo", "TEXT", DSMR_CLI_TEXT, 0, 0, NULL, NULL, "text that goes along, up to 128 bytes"},
    {"expiry", "TIME", DSMR_CLI_DURATION, 1000, 86400000, NULL, "30s",
     "the transfer is void if it has not run by then"},
    {"timeout", "TIME", DSMR_CLI_DURATION, 1, 30000, NULL, "30s",
     "stop waiting after this; the transfer may still run"},
};
#define PAGE_OPTIONS                                                                               \
    {"cursor",                                                                                     \
     "N",                                                                                          \
     DSMR_CLI_NUMBER,                                                                              \
     0,                                                                                            \
     0,                                                                                            \
     NULL,                                                                                         \
     NULL,                                                                                         \
     "where the list goes on: next_cursor of the page before"},                                    \
    {                                                                                              \
        "limit", "N", DSMR_CLI_NUMBER, 1, 1000, NULL, "100", "most entries of a list"              \
    }
static const struct dsmr_cli_option block_options[] = {
    {"txs", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false", "list its executed transactions instead"},
    PAGE_OPTIONS,
};
static const struct dsmr_cli_option page_options[] = {PAGE_OPTIONS};
static const struct dsmr_cli_option bench_options[] = {
    {"nodes", "LIST", DSMR_CLI_TEXT, 0, 0, NULL, NULL,
     "HOST:HTTP_PORT:SUBMIT_PORT[:PID] of each node, separated by commas; with the process ids of "
     "nodes on this machine CPU and memory are known"},
    {"load", "KIND", DSMR_CLI_CHOICE, 0, 0, "transfers|hotspot|opaque|duplicates|idle-then-burst",
     "opaque",
     "signed transfers between the accounts of --keys, all of them between two of these, random "
     "bytes, random bytes to every node at once, or random bytes in bursts"},
    {"rate", "N", DSMR_CLI_NUMBER, 1, 10000000, NULL, "1000", "transactions a second, over all"},
    DSMR_CLI_LOAD_CHECK_BURSTS,
    {"tx-bytes", "N", DSMR_CLI_NUMBER, 32, 65536, NULL, "512", "size of an opaque transaction"},
    {"duration", "TIME", DSMR_CLI_DURATION, 0, 86400000, NULL, "30s",
     "how long the load lasts; 0 runs until interrupted"},
    {"warmup", "TIME", DSMR_CLI_DURATION, 0, 600000, NULL, "3s",
     "start of the load that rates and latencies leave out, shorter than it; by default never more "
     "than a quarter of a load as short"},
    {"verify", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false",
     "find every executed transaction on every node at the end"},
    {"plain", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false", "plain lines instead of the live view"},
    {"view", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false",
     "with --json: the live view as well, on standard error"},
    {"calibrate", NULL, DSMR_CLI_FLAG, 0, 0, NULL, "false",
     "first measure this machine's primitives and print the implied limit"},
    {"dir", "DIR", DSMR_CLI_TEXT, 0, 0, NULL, NULL, "where --calibrate measures the disk"},
};

static int run_version(const struct dsmr_cli_values *values)
{
    printf(dsmr_cli_flag(values, "json") ? "{\"version\":\"%s\"}\n" : "dsmr %s\n", DSMR_VERSION);
    return DSMR_EXIT_OK;
}

int main(int argc, char **argv)
{
    const struct dsmr_cli_verb verbs[] = {
        {"localnet", NULL, "run a whole network on this machine", 0, 0, dsmr_localnet_options,
         dsmr_localnet_options_count, dsmr_localnet_run, NULL},
        {"demo", NULL, "run a network that moves money for a while", 0, 0,
         dsmr_localnet_demo_options, dsmr_localnet_demo_options_count, dsmr_localnet_run, NULL},
        {"send", "ADDRESS AMOUNT", "send money", 2, 2, send_options, COUNT(send_options),
         dsmr_cli_money_send, "node|keys|json"},
        {"balance", "ADDRESS", "show an account, by address or name of a key", 1, 1, NULL, 0,
         dsmr_cli_money_balance, "node|keys|json"},
        {"tx", "ID", "show where a transaction is and what became of it", 1, 1, NULL, 0,
         dsmr_cli_chain_tx, "node|json"},
        {"block", "[HEIGHT|ID]", "show a block, by default the last accepted one", 0, 1,
         block_options, COUNT(block_options), dsmr_cli_chain_block, "node|json"},
        {"chunk", "ID", "show a chunk and its certificate", 1, 1, page_options, COUNT(page_options),
         dsmr_cli_chain_chunk, "node|json"},
        {"validators", NULL, "show the validator set", 0, 0, NULL, 0, dsmr_cli_chain_validators,
         "node|json"},
        {"status", NULL, "show how the node is", 0, 0, NULL, 0, dsmr_cli_chain_status, "node|json"},
        {"evidence", NULL, "show provable faults", 0, 0, page_options, COUNT(page_options),
         dsmr_cli_chain_evidence, "node|json"},
        {"keys new", "NAME", "make an account key", 1, 1, NULL, 0, dsmr_cli_keys_new, "keys|json"},
        {"keys list", NULL, "list account keys", 0, 0, NULL, 0, dsmr_cli_keys_list, "keys|json"},
        {"keys import", "NAME [FILE]",
         "take a secret key of 64 hexadecimal digits from a file or standard input", 1, 2, NULL, 0,
         dsmr_cli_keys_import, "keys|json"},
        {"keys export", "NAME", "print a secret key", 1, 1, NULL, 0, dsmr_cli_keys_export,
         "keys|json"},
        {"bench", NULL, "load running nodes and measure", 0, 0, bench_options, COUNT(bench_options),
         dsmr_cli_bench_run, "keys|json"},
        {"version", NULL, "print the version", 0, 0, NULL, 0, run_version, "json"},
    };
    static const struct dsmr_cli_file files[] = {
        {"~/.dsmr/accounts/NAME.json", "an account key, readable by its owner only"},
        {"DIR/nodeN",
         "of localnet --home DIR: the homes of its nodes, with their logs in node.log"},
        {"DIR/accounts/account-N.json",
         "of localnet and of dsmrd testnet: keys of funded accounts"},
    };
    const struct dsmr_cli_program program = {
        .name = "dsmr",
        .summary = "client of a DSMR network",
        .description = "dsmr keeps account keys, sends transfers, shows transactions, chunks, "
                       "blocks and validators of a node, loads running nodes, and starts a whole "
                       "network on this machine.",
        .verbs = verbs,
        .verbs_count = COUNT(verbs),
        .common = common_options,
        .common_count = COUNT(common_options),
        .files = files,
        .files_count = COUNT(files),
        .see_also = "dsmrd"};
    return dsmr_cli_main(&program, argc, argv);
}
