"""Runs moto's server, with two things that Step Functions does again and again
done once: reading a definition (76 ms for the provisioning's) and making the
client that invokes the functions of tasks (8 ms). Python runs one thread at a
time, so under load these are most of what everybody waits for.

Tasks of AWS Batch are left out: they bring in moto's EC2, which is half of the
server's memory.
"""

import functools
import pickle
import sys
import threading
import types

from moto import server

BATCH = "moto.stepfunctions.parser.asl.component.state.exec.state_task.service.state_task_service_batch"


class StateTaskServiceBatch:
    def __init__(self):
        raise RuntimeError("tasks of AWS Batch do not run here")


sys.modules[BATCH] = types.ModuleType(BATCH)
sys.modules[BATCH].StateTaskServiceBatch = StateTaskServiceBatch


def hurry():
    """Changes moto. It is slow to import, so the server starts meanwhile."""
    from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
    from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
    from moto.stepfunctions.parser.backend.execution_worker import ExecutionWorker

    @functools.lru_cache(maxsize=64)
    def pickled_program(definition):
        program, _ = AmazonStateLanguageParser.parse(definition)
        return pickle.dumps(program)

    def own_program(worker):
        """Returns a copy of the program for one execution."""
        return pickle.loads(pickled_program(worker._evaluation_details.state_machine_details.definition))

    make_client = lambda_eval_utils.boto_client_for
    clients = {}
    lock = threading.Lock()

    def shared_client(region, service, state_credentials=None):
        with lock:
            if (region, service) not in clients:
                clients[region, service] = make_client(region, service, state_credentials)
            return clients[region, service]

    ExecutionWorker._get_evaluation_entrypoint = own_program
    lambda_eval_utils.boto_client_for = shared_client


threading.Thread(target=hurry, daemon=True).start()
server.main()
