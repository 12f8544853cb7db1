# SPDX-License-Identifier: Apache-2.0
"""The command line: `striate train | predict | summary | info | kernels | doctor | bench`.

What a user can get wrong ends in one or two lines on stderr and exit status 2; Ctrl-C in 130.
STRIATE_DEBUG=1 shows the traceback instead.
"""

from __future__ import annotations

import argparse
import difflib
import io
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from striate.arguments import (
    Parser,
    UserError,
    add_device,
    image_shape,
    one_of,
    positive,
    whole,
)

Command = Callable[[argparse.Namespace], int]


# --- the commands ---------------------------------------------------------------------------------


def run_train(options: argparse.Namespace) -> int:
    from striate.train import command

    return command.run(options)


def run_predict(options: argparse.Namespace) -> int:
    from striate.train import predict

    return predict.run(options)


def run_summary(options: argparse.Namespace) -> int:
    from striate.train import runs

    print(runs.summarise(options.what, options.input))
    return 0


def run_info(options: argparse.Namespace) -> int:
    from striate import report

    print(report.info())
    return 0


def run_kernels(options: argparse.Namespace) -> int:
    from striate import report

    print(report.kernels(options.op, options.isa))
    return 0


def run_doctor(options: argparse.Namespace) -> int:
    from striate import doctor

    return doctor.run()


def run_bench(options: argparse.Namespace) -> int:
    from striate.bench import command

    return command.run(options)


def add_train(add: Callable[..., Parser]) -> None:
    parser = add(
        "train",
        run_train,
        help="train a network on handwritten digits",
        description="Trains a network and leaves runs/NAME/ with model.safetensors, config.json,\n"
        "history.csv, curve.png, confusion.png and filters.png. Ctrl-C leaves a checkpoint from\n"
        "which --resume goes on as if nothing had happened.",
        examples=[
            ("striate train", "LeNet on scikit-learn's digits, under a minute"),
            ("striate train --data mnist --root DIR --epochs 3", "on MNIST's idx files in DIR"),
            ("striate train --model mlp --lr 0.02 --seed 7", "another network, rate and seed"),
            ("striate train --optimizer adamw --schedule onecycle --clip 1", "another recipe"),
            ("striate train --model mlp --device cuda", "on a GPU"),
            ("striate train --resume runs/digits-lenet", "go on after Ctrl-C"),
        ],
    )
    option = parser.add_argument
    option(
        "--data", type=one_of("digits", "mnist"), metavar="NAME", help="digits (default) or mnist"
    )
    option("--root", metavar="DIR", help="folder of MNIST's four idx files, plain or .gz")
    option(
        "--model",
        type=one_of("lenet", "mlp", "lstm", "gru", "rnn"),
        metavar="NAME",
        help="lenet (default), mlp, or one that reads an image row by row: lstm, gru, rnn",
    )
    option("--epochs", type=whole(1, 100_000), metavar="N", help="passes over the data")
    option("--batch-size", type=whole(1, 1 << 20), metavar="N", help="images a step")
    option("--lr", type=positive, metavar="RATE", help="highest learning rate")
    add_recipe(option)
    option("--seed", type=whole(0), metavar="N", help="of weights, order, held-out part (0)")
    option("--threads", type=whole(1, 1024), metavar="N", help="for kernels (all usable CPUs)")
    add_device(parser)
    option("--name", metavar="NAME", help="of the run's folder (DATA-MODEL, numbered)")
    option("--out", metavar="DIR", help="where the run's folder goes (runs)")
    option("--resume", metavar="RUN", help="go on with a run that was interrupted")
    option(
        "--profile",
        action="store_true",
        help="where the time of 20 steps goes, as tables and trace.json",
    )
    option("--no-progress", action="store_true", help="no progress bar")


def add_recipe(option: Callable[..., Any]) -> None:
    """How `striate train` steps."""
    option(
        "--optimizer",
        type=one_of("sgd", "adam", "adamw", "rmsprop", "adagrad", "adadelta"),
        metavar="NAME",
        help="sgd (default: momentum 0.9), adam, adamw (default for lstm, gru, rnn), rmsprop, "
        "adagrad or adadelta; each with a rate and weight decay of its own",
    )
    option(
        "--schedule",
        type=one_of("constant", "step", "cosine", "onecycle"),
        metavar="NAME",
        help="of the rate, after a rise over the first tenth: cosine (default) to 0, step (a tenth "
        "at 1/2, a hundredth at 3/4) or constant; onecycle rises for 3 tenths",
    )
    option(
        "--clip",
        type=positive,
        metavar="NORM",
        help="scale longer gradients down to this norm (default for lstm, gru, rnn: 1)",
    )


def add_predict(add: Callable[..., Parser]) -> None:
    parser = add(
        "predict",
        run_predict,
        help="say what a trained network sees in images",
        description="Prints the likeliest classes of each image. Images are made grey, light on\n"
        "dark, cut to the ink, scaled and centred like the data the run was trained on.",
        examples=[
            ("striate predict runs/digits-lenet seven.png", "a file that Pillow reads"),
            ("striate predict digits-lenet *.jpg --top 1", "several, the best class alone"),
        ],
    )
    parser.add_argument("run_folder", metavar="RUN", help="a finished run's folder, or its name")
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="image files")
    parser.add_argument("--top", type=whole(1), default=3, metavar="K", help="classes shown (3)")
    parser.add_argument("--threads", type=whole(1, 1024), metavar="N", help="for kernels")


def add_summary(add: Callable[..., Parser]) -> None:
    parser = add(
        "summary",
        run_summary,
        help="the layers of a network, their shapes and parameters",
        description="Lists a network's layers: output shapes, parameters, operations, memory.",
        examples=[
            ("striate summary lenet", "for 28x28 images in one channel"),
            ("striate summary lenet --input 3x32x32", "for others"),
            ("striate summary runs/digits-lenet", "the network of a run"),
        ],
    )
    parser.add_argument(
        "what", metavar="MODEL|RUN", help="lenet, mlp, lstm, gru, rnn, or a run's folder"
    )
    parser.add_argument("--input", type=image_shape, metavar="CxHxW", help="an image's shape")


def add_info(add: Callable[..., Parser]) -> None:
    add(
        "info",
        run_info,
        help="version, CPU, instruction set, threads, memory, packages",
        description="Says what striate runs on and may use.",
    )


def add_kernels(add: Callable[..., Parser]) -> None:
    parser = add(
        "kernels",
        run_kernels,
        help="every kernel, and whether it can run here",
        description="Lists every row of every kernel and method table: what can run on this\n"
        "machine, and why the rest can't.",
        examples=[
            ("striate kernels --op gemm", "the matrix product's kernels and methods"),
            ("STRIATE_ISA=avx2 striate kernels", "what is left if AVX-512 is not to be used"),
        ],
    )
    parser.add_argument("--op", metavar="OP", help="only this operation's rows")
    parser.add_argument("--isa", metavar="ISA", help="only this instruction set's rows")


def add_doctor(add: Callable[..., Parser]) -> None:
    add(
        "doctor",
        run_doctor,
        help="checks that the kernels compute right here, and what there is of CUDA",
        description="Runs every kernel that this machine can run on small problems, compares the\n"
        "results with NumPy's in double precision, and looks at CPU, threads and packages; at\n"
        "NVIDIA's driver, GPUs and compiler, CuPy and the cache of compiled kernels, and runs a\n"
        "small kernel on each GPU. Exit status 1 where something is wrong.",
    )


def add_bench(add: Callable[..., Parser]) -> None:
    from striate.bench import arguments

    arguments.add(add, run_bench)


COMMANDS = {
    "train": add_train,
    "predict": add_predict,
    "summary": add_summary,
    "info": add_info,
    "kernels": add_kernels,
    "doctor": add_doctor,
    "bench": add_bench,
}


def build_parser() -> tuple[Parser, dict[str, Parser]]:
    """The parser, and those of its commands."""
    parser = Parser(
        prog="striate",
        description="Deep learning on handwritten kernels that anyone can read.",
        examples=[
            ("striate train", "train LeNet on handwritten digits, under a minute"),
            ("striate doctor", "see that everything works here"),
            ("striate COMMAND --help", "options and examples of a command"),
        ],
    )
    parser.add_argument("--version", action="store_true", help="print the version and leave")
    group = parser.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    parsers = {}

    def add(name: str, run: Command, **options: Any) -> Parser:
        parsers[name] = group.add_parser(name, prog=f"striate {name}", **options)
        parsers[name].set_defaults(run=run)
        return parsers[name]

    for adder in COMMANDS.values():
        adder(add)
    return parser, parsers


def dispatch(words: Sequence[str]) -> int:
    """Reads the arguments and runs the command; returns the exit status."""
    parser, parsers = build_parser()
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        near = difflib.get_close_matches(words[0], COMMANDS, 1)
        meant = f"did you mean {near[0]}?" if near else f"commands: {', '.join(COMMANDS)}"
        raise UserError(f"unknown command '{words[0]}'", meant)
    options, unknown = parser.parse_known_args(words)
    parsers.get(options.command, parser).check_unknown(unknown)

    import striate

    if options.version:
        print(f"striate {striate.__version__}")
        return 0
    striate._C.isa()  # says what is wrong with STRIATE_ISA, if something is
    if options.command is None:
        parser.print_help()
        return 0
    return options.run(options)


def _message(error: Exception) -> str:
    """An error's text; a failed system call's begins with the file."""
    if isinstance(error, OSError) and error.filename and error.strerror:
        return f"{error.filename}: {error.strerror.lower()}"
    return str(error) or type(error).__name__


def main(words: Sequence[str] | None = None) -> int:
    """The console script: dispatch, with errors as users want them."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without UTF-8 gets ? for a bar
            stream.reconfigure(errors="replace")
    try:
        status = dispatch(sys.argv[1:] if words is None else words)
        sys.stdout.flush()
        return status
    except KeyboardInterrupt:
        print("\nstriate: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `striate kernels | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (UserError, ValueError, TypeError, IndexError, MemoryError, OSError) as error:
        if os.environ.get("STRIATE_DEBUG"):
            raise
        print(f"striate: error: {_message(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
