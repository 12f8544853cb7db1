# SPDX-License-Identifier: Apache-2.0
"""A word-level language model: embedding, GRU, softmax over the words, truncated BPTT."""

import math

import torch
import torch.nn.functional as F
from torch import nn

from programs import data


class RNNModel(nn.Module):
    def __init__(self, ntoken, ninp, nhid, nlayers):
        super().__init__()
        self.ntoken = ntoken
        self.encoder = nn.Embedding(ntoken, ninp)
        self.rnn = nn.GRU(ninp, nhid, nlayers)
        self.decoder = nn.Linear(nhid, ntoken)
        self.decoder.weight = self.encoder.weight  # tied
        self.init_weights()
        self.nhid = nhid
        self.nlayers = nlayers

    def init_weights(self):
        initrange = 0.1
        nn.init.uniform_(self.encoder.weight, -initrange, initrange)
        nn.init.zeros_(self.decoder.bias)

    def forward(self, input, hidden):
        output, hidden = self.rnn(self.encoder(input), hidden)
        decoded = self.decoder(output).view(-1, self.ntoken)
        return F.log_softmax(decoded, dim=1), hidden

    def init_hidden(self, bsz):
        weight = next(self.parameters())
        return weight.new_zeros(self.nlayers, bsz, self.nhid)


def batchify(tokens, bsz):
    nbatch = tokens.size(0) // bsz
    tokens = tokens.narrow(0, 0, nbatch * bsz)
    return tokens.view(bsz, -1).t().contiguous()


def get_batch(source, i, bptt):
    seq_len = min(bptt, len(source) - 1 - i)
    return source[i : i + seq_len], source[i + 1 : i + 1 + seq_len].view(-1)


def train(steps, start):
    torch.manual_seed(0)
    corpus, ntokens = data.words()
    source = batchify(torch.from_numpy(corpus), 4)
    model = RNNModel(ntokens, 32, 32, 2)
    start(model)
    criterion = nn.NLLLoss()
    lr, bptt = 2.0, 6
    losses = []
    while len(losses) < steps:
        hidden = model.init_hidden(4)
        for i in range(0, source.size(0) - 1, bptt):
            inputs, targets = get_batch(source, i, bptt)
            model.zero_grad()
            hidden = hidden.detach()
            output, hidden = model(inputs, hidden)
            loss = criterion(output, targets)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 0.25)
            for p in model.parameters():
                p.data.add_(p.grad, alpha=-lr)
            losses.append(loss.item())
    assert math.exp(losses[-1]) < ntokens
    return losses[:steps]
