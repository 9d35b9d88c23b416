# SPDX-License-Identifier: Apache-2.0
# The service that one writes in an afternoon: a Python is started for each
# posted script. No sandbox, no limit.
import subprocess

from flask import Flask, jsonify, request

app = Flask(__name__)


@app.post('/execute')
def execute():
    done = subprocess.run(['/usr/bin/python3', '-I', '-'],
                          input=request.get_json()['code'],
                          capture_output=True, text=True)
    return jsonify(output=done.stdout, error=done.stderr,
                   returncode=done.returncode)
