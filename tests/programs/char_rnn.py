# SPDX-License-Identifier: Apache-2.0
"""Predicts the next character of a text with an LSTM, and writes a few of its own."""

import torch
from torch import nn

from programs import data


class CharRNN(nn.Module):
    def __init__(self, tokens, hidden_size=48, num_layers=2):
        super().__init__()
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.encoder = nn.Embedding(tokens, hidden_size)
        self.rnn = nn.LSTM(hidden_size, hidden_size, num_layers, batch_first=True)
        self.decoder = nn.Linear(hidden_size, tokens)

    def forward(self, input, hidden):
        output, hidden = self.rnn(self.encoder(input), hidden)
        return self.decoder(output.reshape(-1, self.hidden_size)), hidden

    def init_hidden(self, batch_size):
        shape = (self.num_layers, batch_size, self.hidden_size)
        return (torch.zeros(shape), torch.zeros(shape))


def sample(model, first, length):
    model.eval()
    hidden = model.init_hidden(1)
    token = torch.tensor([[first]])
    written = []
    with torch.no_grad():
        for _ in range(length):
            logits, hidden = model(token, hidden)
            token = torch.topk(logits[-1], 1)[1].view(1, 1)
            written.append(token.item())
    return written


def train(steps, start):
    torch.manual_seed(0)
    text, tokens = data.characters()
    text = torch.from_numpy(text)
    model = CharRNN(tokens)
    start(model)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    criterion = nn.CrossEntropyLoss()
    length, batch = 20, 8
    losses = []
    for step in range(steps):
        begins = [(37 * step + 53 * i) % (len(text) - length - 1) for i in range(batch)]
        input = torch.stack([text[b : b + length] for b in begins])
        target = torch.stack([text[b + 1 : b + length + 1] for b in begins])
        output, _ = model(input, model.init_hidden(batch))
        loss = criterion(output, target.view(-1))
        model.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    assert all(0 <= token < tokens for token in sample(model, 0, 10))
    return losses
