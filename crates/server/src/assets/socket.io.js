/* Fanwire's client for Socket.IO. MIT OR Apache-2.0 */
(()=>{'use strict';
class Backoff{
attempts=0;
next(min,max,jitter){
const delay=Math.min(max,min*2**this.attempts);
this.attempts+=1;
return Math.min(max,delay*(1+jitter*(2*Math.random()-1)));
}
}
function report(error){
setTimeout(()=>{
throw error;
});
}
function callAll(listeners,self,args){
for(const listener of listeners.slice()){
try{
listener.apply(self,args);
}catch(error){
report(error);
}
}
}
class Emitter{
#a=new Map();
on(event,listener){
this.#a.set(`${event}`,[...this.listeners(event),listener]);
return this;
}
once(event,listener){
const once=(...args)=>{
this.off(event,once);
listener.apply(this,args);
};
once.listener=listener;
return this.on(event,once);
}
off(event,listener){
if(event===undefined){
this.#a.clear();
return this;
}
const left=this.listeners(event);
const found=left.findIndex((one)=>one===listener||one.listener===listener);
if(found>=0)left.splice(found,1);
if(listener&&left.length>0)this.#a.set(`${event}`,left);
else this.#a.delete(`${event}`);
return this;
}
emit(event,...args){
callAll(this.listeners(event),this,args);
return this;
}
listeners(event){
return[...(this.#a.get(`${event}`)||[])];
}
hasListeners(event){
return this.listeners(event).length>0;
}
}
const emitterMethods=Emitter.prototype;
emitterMethods.addEventListener=emitterMethods.on;
emitterMethods.removeListener=emitterMethods.off;
emitterMethods.removeAllListeners=emitterMethods.off;
emitterMethods.removeEventListener=emitterMethods.off;
const CHUNK=0x8000;
function isBinary(value){
return(
value instanceof ArrayBuffer||
ArrayBuffer.isView(value)||
(typeof Blob==='function'&&value instanceof Blob)
);
}
function payloadSize(packet){
if(typeof packet==='string')return new TextEncoder().encode(packet).length;
const bytes=packet.byteLength===undefined?packet.size:packet.byteLength;
return 1+4*Math.ceil(bytes/3);
}
async function toText(packet){
if(typeof packet==='string')return packet;
const source=packet.arrayBuffer?await packet.arrayBuffer():packet;
const bytes=source.buffer
?new Uint8Array(source.buffer,source.byteOffset,source.byteLength)
:new Uint8Array(source);
let text='';
for(let at=0;at<bytes.length;at+=CHUNK){
text+=String.fromCharCode(...bytes.subarray(at,at+CHUNK));
}
return`b${btoa(text)}`;
}
function fromBase64(text){
const bytes=atob(text);
const buffer=new Uint8Array(bytes.length);
for(let at=0;at<bytes.length;at+=1)buffer[at]=bytes.charCodeAt(at);
return buffer.buffer;
}
function transportError(message,description){
return Object.assign(new Error(message),{type:'TransportError',description});
}
class Transport{
owner=null;
state='opening';
constructor(origin,opts,sid){
this.origin=origin;
this.opts=opts;
this.sid=sid;
}
get isCongested(){
return false;
}
url(extra){
const query=new URLSearchParams(this.opts.query);
const own={EIO:4,transport:this.name,...(this.sid&&{sid:this.sid}),...extra};
for(const name in own)query.set(name,own[name]);
const slash=this.opts.addTrailingSlash===false?'':'/';
return`${this.origin}${this.opts.path.replace(/\/$/, '')}${slash}?${query}`;
}
tell(what,...args){
if(this.owner)this.owner[what](...args);
}
receive(packet){
let message=packet;
try{
if(packet[0]==='b')message=fromBase64(packet.slice(1));
}catch(error){
this.tell('onError',transportError('parser error',error));
return;
}
if(typeof message==='string')this.tell('onPacket',message[0],message.slice(1));
else this.tell('onPacket','4',message);
}
}
const SEPARATOR='\x1e';
const FAREWELL_LIMIT=5000;
let requests=0;
class Polling extends Transport{
name='polling';
writable=false;
#b=false;
#c=null;
#d=Promise.resolve();
#e=new AbortController();
open(){
this.#f();
}
#g(){
requests+=1;
return this.url({t:Date.now().toString(36)+requests.toString(36)});
}
async #h(method,body){
const{withCredentials,extraHeaders}=this.opts;
const response=await fetch(this.#g(),{
method,
body,
headers:extraHeaders,
credentials:withCredentials?'include':'same-origin',
cache:'no-store',
signal:this.#e.signal,
});
if(response.status!==200)throw response.status;
return response.text();
}
async #f(){
this.#b=true;
let payload;
try{
payload=await this.#h('GET');
}catch(error){
this.state='closed';
this.tell('onError',transportError('xhr poll error',error));
return;
}
this.#b=false;
if(this.state==='closed'){
this.#i(payload);
return;
}
for(const packet of payload.split(SEPARATOR)){
if(this.state==='closed')return;
if(this.state==='opening'&&packet[0]==='0'){
this.state='open';
this.writable=true;
this.tell('onOpen');
}
this.receive(packet);
}
if(this.state==='opening')this.tell('onError',transportError('no handshake',payload));
else if(this.state==='open')this.#f();
else this.#j();
}
send(packets){
this.writable=false;
this.#d=this.#k(packets);
}
async #k(packets){
try{
const texts=await Promise.all(packets.map(toText));
await this.#h('POST',texts.join(SEPARATOR));
}catch(error){
this.tell('onError',transportError('xhr post error',error));
return;
}
this.writable=true;
this.#j();
this.tell('onDrain');
}
pause(done){
this.state='pausing';
this.#c=done;
this.#j();
}
#j(){
if(this.state!=='pausing'||this.#b||!this.writable)return;
this.state='paused';
this.#c();
}
resume(){
this.state='open';
if(!this.#b)this.#f();
}
close(){
const state=this.state;
this.state='closed';
this.owner=null;
if(state==='closed')return;
const giveUp=()=>this.#e.abort();
const timer=setTimeout(giveUp,FAREWELL_LIMIT);
if(state==='opening')return;
this.#d
.then(()=>this.#h('POST','1'))
.catch(()=>{})
.then(()=>clearTimeout(timer))
.then(giveUp);
}
#i(payload){
const sid=/^0.*"sid":"([^"]+)"/.exec(payload);
if(!sid||this.sid)return;
this.sid=sid[1];
this.#h('POST','1').catch(()=>{});
}
}
const BACKLOG=65536;
class WebSocketTransport extends Transport{
name='websocket';
#l=null;
get writable(){
return this.state==='open';
}
get isCongested(){
return this.#l.bufferedAmount>BACKLOG;
}
open(){
try{
this.#l=new WebSocket(this.url().replace(/^http/,'ws'),this.opts.protocols||[]);
}catch(error){
setTimeout(()=>this.tell('onError',transportError('websocket error',error)));
return;
}
const socket=this.#l;
socket.binaryType='arraybuffer';
socket.onopen=()=>{
this.state='open';
this.tell('onOpen');
};
socket.onmessage=({data})=>this.receive(data);
socket.onerror=(event)=>this.tell('onError',transportError('websocket error',event));
socket.onclose=(event)=>this.tell('onClose',event);
}
send(packets){
for(const packet of packets)this.#l.send(packet);
}
close(){
this.state='closed';
this.owner=null;
if(this.#l)this.#l.close();
}
}
const TRANSPORTS={polling:Polling,websocket:WebSocketTransport};
let webSocketWorked=false;
class Engine extends Emitter{
id=null;
state='opening';
transport=null;
#m=[];
#n;
#o=null;
#p=false;
#q=null;
#r=0;
#s=Infinity;
#t=Infinity;
#u=()=>this.#v('transport close',{description:'network connection lost'});
constructor(origin,opts){
super();
this.origin=origin;
this.opts=opts;
this.#n=(opts.transports||['polling','websocket']).filter((name)=>name in TRANSPORTS);
if(globalThis.addEventListener&&!/^\w+:\/\/localhost(:|$)/.test(origin)){
addEventListener('offline',this.#u);
}
this.#w();
}
#w(){
const[first]=this.#n;
if(!first){
setTimeout(()=>this.#x(new Error('No transports available')));
return;
}
const remembers=this.opts.rememberUpgrade&&webSocketWorked;
this.#y(this.#z(remembers&&this.#n.includes('websocket')?'websocket':first));
this.transport.open();
}
#z(name){
const{transportOptions={},...opts}=this.opts;
return new TRANSPORTS[name](this.origin,{...opts,...transportOptions[name]},this.id);
}
#y(transport){
if(this.transport)this.transport.owner=null;
this.transport=transport;
transport.owner={
onOpen:()=>{},
onPacket:(type,data)=>this.#aa(type,data),
onDrain:()=>this.#ab(),
onError:(error)=>this.#x(error),
onClose:(description)=>this.#v('transport close',description),
};
}
#aa(type,data){
switch(type){
case'0':
this.#ac(data);
break;
case'1':
this.#v('transport close',{description:'transport closed by the server'});
break;
case'2':
this.#ad();
this.write('3');
this.emit('ping');
break;
case'4':
this.emit('message',data);
break;
case'3':
case'6':
break;
default:
this.#x(transportError('server error','parser error'));
}
}
#ac(json){
if(this.state!=='opening')return;
let session;
try{
session={upgrades:[],...JSON.parse(json)};
}catch(error){
this.#x(transportError('server error',error));
return;
}
this.id=session.sid;
this.transport.sid=session.sid;
this.#r=session.pingInterval+session.pingTimeout;
this.#t=session.maxPayload||Infinity;
this.#ad();
webSocketWorked=this.transport.name==='websocket';
this.state='open';
this.emit('open');
this.#ab();
const[upgrade]=session.upgrades.filter((name)=>this.#n.includes(name));
if(upgrade&&this.opts.upgrade!==false&&this.state==='open')this.#ae(upgrade);
}
#ad(){
clearTimeout(this.#q);
this.#s=Date.now()+this.#r;
this.#q=setTimeout(()=>this.#v('ping timeout'),this.#r);
}
isStale(){
const isStale=Date.now()>this.#s;
if(isStale)setTimeout(()=>this.#v('ping timeout'));
return isStale;
}
get writable(){
const{writable,isCongested}=this.transport;
return this.state==='open'&&!this.#p&&writable&&!isCongested;
}
write(packet){
if(this.state==='closing'||this.state==='closed')return;
this.#m.push(packet);
this.#ab();
}
#ab(){
if(this.#p||this.state==='opening'||this.state==='closed')return;
while(this.#m.length>0&&this.transport.writable)this.transport.send(this.#af());
if(this.transport.writable){
this.emit('drain');
if(this.state==='closing')this.#v('forced close');
}
}
#af(){
let count=this.#m.length;
if(this.transport.name==='polling'){
let bytes=-1;
count=this.#m.findIndex((packet)=>(bytes+=1+payloadSize(packet))>this.#t);
if(count<0)count=this.#m.length;
}
return this.#m.splice(0,count||1);
}
#ae(name){
const probe=this.#z(name);
this.#o=probe;
const fail=(error)=>{
this.#ag();
if(this.#p){
this.#p=false;
this.transport.resume();
}
this.emit('upgradeError',Object.assign(new Error(`probe error: ${error}`),{transport:name}));
this.#ab();
};
const move=()=>{
if(this.#o!==probe)return;
this.#o=null;
this.#y(probe);
probe.send(['5']);
this.#p=false;
webSocketWorked=true;
this.emit('upgrade',probe);
this.#ab();
};
probe.owner={
onOpen:()=>probe.send(['2probe']),
onPacket:(type,data)=>{
if(type+data!=='3probe'){
fail('the server did not answer');
return;
}
this.#p=true;
this.emit('upgrading',probe);
if(this.#o===probe)this.transport.pause(move);
},
onError:fail,
onClose:()=>fail('transport closed'),
};
probe.open();
}
#ag(){
if(this.#o)this.#o.close();
this.#o=null;
}
close(){
if(this.state==='opening'){
this.#v('forced close');
}else if(this.state==='open'){
this.state='closing';
this.#ab();
}
return this;
}
#x(error){
webSocketWorked=false;
if(this.opts.tryAllTransports&&this.state==='opening'&&this.#n.length>1){
this.#n.shift();
this.transport.close();
this.#w();
return;
}
if(this.state==='closed')return;
this.emit('error',error);
this.#v('transport error',error);
}
#v(reason,description){
if(this.state==='closed')return;
this.state='closed';
clearTimeout(this.#q);
if(globalThis.removeEventListener)removeEventListener('offline',this.#u);
this.#ag();
if(this.transport)this.transport.close();
this.id=null;
this.#m=[];
this.emit('close',reason,description);
}
}
const CONNECT=0;
const DISCONNECT=1;
const EVENT=2;
const ACK=3;
const CONNECT_ERROR=4;
const BINARY=3;
const RESERVED=new Set([
'connect',
'connect_error',
'disconnect',
'disconnecting',
'newListener',
'removeListener',
]);
const LINE=/^([0-6])(?:(\d+)-)?(?:(\/[^,]*),?)?(\d*)(.*)$/s;
function encodePacket({type,nsp,id,data}){
const attachments=[];
const json=JSON.stringify(data,function(key,value){
const bytes=this[key];
if(!isBinary(bytes))return value;
return{_placeholder:true,num:attachments.push(bytes)-1};
});
const binary=attachments.length>0;
const line=[
binary?`${type + BINARY}${attachments.length}-`:type,
nsp==='/'?'':`${nsp},`,
id,
json,
];
return[line.join(''),...attachments];
}
function isObject(value){
return typeof value==='object'&&value!==null&&!Array.isArray(value);
}
function isValid({type,id,data}){
switch(type){
case CONNECT:
return data===undefined||isObject(data);
case DISCONNECT:
return data===undefined;
case EVENT:
return(
Array.isArray(data)&&
(typeof data[0]==='number'||(typeof data[0]==='string'&&!RESERVED.has(data[0])))
);
case ACK:
return Array.isArray(data)&&id!==undefined;
default:
return typeof data==='string'||isObject(data);
}
}
class Decoder{
#ah=null;
#ai=[];
add(part){
const isText=typeof part==='string';
if(isText===(this.#ah!==null))throw new Error('attachment out of place');
if(isText){
const[,type,count,nsp='/',id,json]=LINE.exec(part)||[];
const isBinaryType=type>CONNECT_ERROR;
if(!type||isBinaryType!==count>0)throw new Error('unknown packet');
this.#ah={
type:isBinaryType?type-BINARY:+type,
nsp,
id:id?+id:undefined,
count:isBinaryType?+count:0,
json,
};
}else{
this.#ai.push(part);
}
return this.#ai.length<this.#ah.count?null:this.#aj();
}
#aj(){
const{count,json,...packet}=this.#ah;
const attachments=this.#ai;
this.#ah=null;
this.#ai=[];
const revive=(_,value)=>{
if(!value||value._placeholder!==true)return value;
const{num}=value;
if(typeof num!=='number'||!attachments[num])throw new Error('no such attachment');
return attachments[num];
};
if(json)packet.data=JSON.parse(json,count>0?revive:undefined);
if(!isValid(packet))throw new Error('invalid packet');
return packet;
}
}
class Retries{
#ak=[];
#al=false;
constructor(limit,send){
this.limit=limit;
this.send=send;
}
add(args,flags){
const done=typeof args[args.length-1]==='function'?args.pop():()=>{};
this.#ak.push({args,flags,done,tries:0});
}
next(){
const[entry]=this.#ak;
if(!entry||this.#al)return;
this.#al=true;
entry.tries+=1;
const answered=(error,...answer)=>{
if(entry!==this.#ak[0])return;
this.#al=false;
if(error===null||entry.tries>this.limit){
this.#ak.shift();
entry.done(error,...answer);
}
this.next();
};
this.send([...entry.args,answered],entry.flags);
}
}
const wantsError=(ack)=>Object.assign(ack,{wantsError:true});
class Socket extends Emitter{
connected=false;
recovered=false;
id=undefined;
active=false;
receiveBuffer=[];
sendBuffer=[];
#am=null;
#an=undefined;
#ao=undefined;
#ap=new Map();
#aq=0;
#ar={};
#as=null;
#at=[];
#au=[];
constructor(manager,nsp,opts){
super();
this.io=manager;
this.nsp=nsp;
this.auth=opts.auth;
this.opts=opts;
if(opts.retries){
this.#as=new Retries(opts.retries,(args,flags)=>this.#av(args,flags));
}
}
get disconnected(){
return!this.connected;
}
connect(){
this.active=true;
if(!this.io.isReconnecting)this.io.open();
if(this.io.isOpen)this.join();
return this;
}
open(){
return this.connect();
}
disconnect(){
if(this.connected)this.#aw(DISCONNECT);
this.#ax();
if(this.connected)this.lost('io client disconnect');
return this;
}
close(){
return this.disconnect();
}
#ax(){
this.active=false;
this.#am=null;
this.io.release();
}
send(...args){
return this.emit('message',...args);
}
emit(...args){
const[event]=args;
const flags=this.#ar;
this.#ar={};
if(RESERVED.has(event))throw new Error(`"${event}" is a reserved event name`);
if(this.#as&&!flags.volatile){
this.#as.add(args,flags);
if(this.connected)this.#as.next();
}else{
this.#av(args,flags);
}
return this;
}
#av(args,flags){
const ack=typeof args[args.length-1]==='function'?args.pop():null;
const packet={type:EVENT,data:args};
if(ack)packet.id=this.#ay(ack,flags.timeout);
if(flags.volatile){
if(this.connected&&this.io.engine.writable)this.#az(packet);
}else if(this.connected&&!this.io.engine.isStale()){
this.#az(packet);
}else{
this.sendBuffer.push(packet);
}
}
#az(packet){
callAll(this.#au,this,packet.data);
this.#aw(packet.type,packet.data,packet.id);
}
#aw(type,data,id){
this.io.write({type,nsp:this.nsp,id,data});
}
#ay(ack,timeout=this.opts.ackTimeout){
const id=this.#aq;
this.#aq+=1;
if(timeout===undefined){
this.#ap.set(id,ack);
return id;
}
const timer=setTimeout(()=>{
this.#ap.delete(id);
this.sendBuffer=this.sendBuffer.filter((packet)=>packet.id!==id);
ack.call(this,new Error('operation has timed out'));
},timeout);
const inTime=(...answer)=>{
clearTimeout(timer);
ack.apply(this,answer);
};
this.#ap.set(id,wantsError(inTime));
return id;
}
emitWithAck(...args){
return new Promise((resolve,reject)=>{
this.emit(...args,wantsError((error,answer)=>(error?reject(error):resolve(answer))));
});
}
timeout(limit){
this.#ar.timeout=limit;
return this;
}
get volatile(){
this.#ar.volatile=true;
return this;
}
compress(){
return this;
}
join(){
const{engine}=this.io;
if(this.connected||this.#am===engine)return;
this.#am=engine;
const ask=(auth)=>{
if(this.#am!==engine||this.connected)return;
this.#aw(CONNECT,this.#an?{pid:this.#an,offset:this.#ao,...auth}:auth);
};
if(typeof this.auth==='function')this.auth(ask);
else ask(this.auth);
}
failed(error){
if(!this.connected)super.emit('connect_error',error);
}
lost(reason,description){
this.#am=null;
this.receiveBuffer=[];
if(!this.connected){
if(this.active)this.failed(new Error(reason));
return;
}
this.connected=false;
this.id=undefined;
super.emit('disconnect',reason,description);
for(const[id,ack]of[...this.#ap]){
if(this.sendBuffer.some((packet)=>packet.id===id))continue;
this.#ap.delete(id);
if(ack.wantsError)callAll([ack],this,[new Error('socket has been disconnected')]);
}
}
receive({type,id,data}){
switch(type){
case CONNECT:
this.#ba(data);
break;
case EVENT:
if(id!==undefined)data.push(this.#bb(id));
if(this.connected)this.#bc(data);
else this.receiveBuffer.push(data);
break;
case ACK:
this.#bd(id,data);
break;
case DISCONNECT:
this.#ax();
this.lost('io server disconnect');
break;
case CONNECT_ERROR:
this.#ax();
this.failed(Object.assign(new Error(data.message||data),{data:data.data}));
}
}
#ba({sid,pid}={}){
if(!sid){
this.failed(new Error('the server speaks an earlier version of Socket.IO'));
return;
}
this.id=sid;
this.recovered=Boolean(pid)&&pid===this.#an;
this.#an=pid;
this.connected=true;
for(const data of this.receiveBuffer.splice(0))this.#bc(data);
for(const packet of this.sendBuffer.splice(0))this.#az(packet);
super.emit('connect');
if(this.#as)this.#as.next();
}
#bc(data){
callAll(this.#at,this,data);
super.emit(...data);
const last=data[data.length-1];
if(this.#an&&data.length>1&&typeof last==='string')this.#ao=last;
}
#bb(id){
let isAnswered=false;
return(...args)=>{
if(!isAnswered)this.#aw(ACK,args,id);
isAnswered=true;
};
}
#bd(id,data){
const ack=this.#ap.get(id);
this.#ap.delete(id);
if(ack)callAll([ack],this,ack.wantsError?[null,...data]:data);
}
onAny(listener){
this.#at.push(listener);
return this;
}
prependAny(listener){
this.#at.unshift(listener);
return this;
}
offAny(listener){
this.#at=without(this.#at,listener);
return this;
}
listenersAny(){
return this.#at;
}
onAnyOutgoing(listener){
this.#au.push(listener);
return this;
}
prependAnyOutgoing(listener){
this.#au.unshift(listener);
return this;
}
offAnyOutgoing(listener){
this.#au=without(this.#au,listener);
return this;
}
listenersAnyOutgoing(){
return this.#au;
}
}
function without(listeners,listener){
return listener?listeners.filter((one)=>one!==listener):[];
}
class Manager extends Emitter{
engine=undefined;
nsps=new Map();
#be='closed';
#bf=false;
#bg=false;
#bh=new Backoff();
#bi=null;
#bj=null;
#bk=()=>{};
constructor(origin,opts){
super();
this.uri=origin;
this.opts={
path:'/socket.io',
reconnection:true,
reconnectionAttempts:Infinity,
reconnectionDelay:1000,
reconnectionDelayMax:5000,
randomizationFactor:0.5,
timeout:20000,
autoConnect:true,
};
for(const name in opts)if(opts[name]!==undefined)this.opts[name]=opts[name];
if(this.opts.autoConnect)this.open();
}
get isOpen(){
return this.#be==='open';
}
socket(nsp,opts={}){
let socket=this.nsps.get(nsp);
if(!socket){
socket=new Socket(this,nsp,opts);
this.nsps.set(nsp,socket);
}
if(this.opts.autoConnect&&!socket.active)socket.connect();
return socket;
}
#bl(){
return[...this.nsps.values()].filter((socket)=>socket.active);
}
open(done){
if(this.#be!=='closed')return this;
this.#be='opening';
this.#bg=false;
clearTimeout(this.#bi);
const engine=new Engine(this.uri,this.opts);
const decoder=new Decoder();
this.engine=engine;
const fail=(error)=>{
this.#bk();
this.#be='closed';
this.#bf=false;
engine.close();
this.#bm(error);
if(done)done(error);
else this.#bn();
};
const heard={
open:()=>{
clearTimeout(this.#bi);
this.#be='open';
this.#bf=false;
this.#bh.attempts=0;
this.emit('open');
for(const socket of this.#bl())socket.join();
if(done)done();
},
error:(error)=>(this.isOpen?this.#bm(error):fail(error)),
close:(reason,description)=>{
if(this.isOpen)this.#bo(reason,description);
else fail(new Error(reason));
},
ping:()=>this.emit('ping'),
message:(part)=>this.#aa(decoder,part),
};
for(const event in heard)engine.on(event,heard[event]);
this.#bk=()=>{
clearTimeout(this.#bi);
for(const event in heard)engine.off(event,heard[event]);
};
const{timeout}=this.opts;
if(timeout!==false)this.#bi=setTimeout(()=>fail(new Error('timeout')),timeout);
return this;
}
connect(done){
return this.open(done);
}
#aa(decoder,part){
let packet;
try{
packet=decoder.add(part);
}catch(error){
this.#bo('parse error',error);
return;
}
const socket=packet&&this.nsps.get(packet.nsp);
if(socket&&socket.active)socket.receive(packet);
}
write(packet){
for(const part of encodePacket(packet)){
this.engine.write(typeof part==='string'?`4${part}`:part);
}
}
#bm(error){
this.emit('error',error);
for(const socket of this.#bl())socket.failed(error);
}
#bo(reason,description){
this.#bk();
this.#be='closed';
this.#bf=false;
if(this.engine)this.engine.close();
this.#bh.attempts=0;
this.emit('close',reason,description);
for(const socket of this.#bl())socket.lost(reason,description);
this.#bn();
}
release(){
if(this.#bl().length===0)this.disconnect();
}
disconnect(){
this.#bg=true;
this.#bo('forced close');
return this;
}
get isReconnecting(){
return this.#bf;
}
#bn(){
const{reconnection,reconnectionAttempts,...opts}=this.opts;
if(!reconnection||this.#bg||this.#be!=='closed')return;
if(this.#bh.attempts>=(reconnectionAttempts||Infinity)){
this.#bh.attempts=0;
this.emit('reconnect_failed');
return;
}
this.#bf=true;
const{reconnectionDelay,reconnectionDelayMax,randomizationFactor}=opts;
const delay=this.#bh.next(reconnectionDelay,reconnectionDelayMax,randomizationFactor);
this.#bi=setTimeout(()=>{
const attempt=this.#bh.attempts;
this.emit('reconnect_attempt',attempt);
if(this.#bg)return;
this.open((error)=>{
if(error){
this.#bn();
this.emit('reconnect_error',error);
}else{
this.emit('reconnect',attempt);
}
});
},delay);
}
}
for(const name of[
'reconnection',
'reconnectionAttempts',
'reconnectionDelay',
'reconnectionDelayMax',
'randomizationFactor',
'timeout',
]){
Manager.prototype[name]=function(...value){
if(value.length===0)return this.opts[name];
this.opts[name]=value[0];
return this;
};
}
const protocol=5;
const ADDRESS=/^(https?|wss?):\/\/(?:[^/?#]*@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?/;
const managers=new Map();
function parseAddress(address){
const scheme=globalThis.location?location.protocol:'https:';
const host=globalThis.location?location.host:'localhost';
let full=address||'/';
if(full.startsWith('//'))full=scheme+full;
else if(full.startsWith('/'))full=`${scheme}//${host}${full}`;
else if(!/^(https?|wss?):\/\//.test(full))full=`${scheme}//${full}`;
const[,kind,authority,nsp,query]=ADDRESS.exec(full);
const secure=/s$/.test(kind);
const origin=`http${secure ? 's' : ''}://${authority}`.replace(secure?/:443$/:/:80$/,'');
return{origin,nsp:nsp||'/',query};
}
function io(address,options){
if(typeof address==='object')return io(undefined,address);
const opts={...options};
const{origin,nsp,query}=parseAddress(address);
if(query&&!opts.query)opts.query=query;
const key=`${origin} ${opts.path || '/socket.io'}`;
let manager=managers.get(key);
const isOwn=opts.forceNew||opts.multiplex===false||(manager&&manager.nsps.has(nsp));
if(isOwn){
manager=new Manager(origin,opts);
}else if(!manager){
manager=new Manager(origin,opts);
managers.set(key,manager);
}
return manager.socket(nsp,opts);
}
Object.assign(io,{io,connect:io,Manager,Socket,protocol});
globalThis.io=io;
})();
